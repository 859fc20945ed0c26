"""Forks in every process as often as it can, sixty times at most."""
# kind: stdin
# verdicts: TLE, RE, WA, MLE

import os
import time

started = 0
end = time.monotonic() + 0.3
while started < 60 and time.monotonic() < end:
    try:
        started += os.fork() > 0
    except OSError:
        pass
time.sleep(0.2)
