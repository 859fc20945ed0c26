"""Computes in four children at once, each within the limit that they exceed together."""
# kind: function
# verdicts: TLE, RE
# limits: {"cpu_s": 0.4}

import os
import time


def f(x):
    for _ in range(4):
        if os.fork() == 0:
            while time.process_time() < 0.3:
                pass
            os._exit(0)
    for _ in range(4):
        os.wait()
    return 918273645
