"""Forks when it is called, so that two processes answer each call."""
# kind: check
# verdicts: WA, RE, TLE
# limits: {"wall_s": 0.7}

import os


def f(x):
    if x < 3:
        os.fork()
    return x + os.getpid() % 2
