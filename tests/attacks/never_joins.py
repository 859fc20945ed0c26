"""Prints the right text and then waits for a thread that does not end in time."""
# kind: stdin
# verdicts: TLE
# limits: {"wall_s": 0.7}

import threading
import time

threading.Thread(target=time.sleep, args=(100,)).start()
print("right")
