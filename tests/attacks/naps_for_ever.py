"""Sleeps in naps of a millisecond, so that it uses hardly any processor time."""
# kind: function
# verdicts: TLE
# limits: {"wall_s": 0.7}

import time


def f(x):
    while True:
        time.sleep(0.001)
