"""Prints a little again and again, so that it always seems to be at work."""
# kind: stdin
# verdicts: TLE, OLE
# limits: {"wall_s": 0.7}

import time

while True:
    print("r", flush=True)
    time.sleep(0.01)
