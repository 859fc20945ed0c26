"""Answers the first call rightly and never the second."""
# kind: check
# verdicts: TLE
# limits: {"wall_s": 0.7}

import time


def f(x):
    if x == 1:
        time.sleep(60)
    return x + 1000
