"""Sleeps longer than anybody waits."""
# kind: stdin
# verdicts: TLE
# limits: {"wall_s": 0.7}

import time

time.sleep(100)
