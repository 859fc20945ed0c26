"""Kills the process that started it between two calls."""
# kind: check
# verdicts: WA, RE
# tiers: T1

import os


def f(x):
    for pid in (os.getppid(), -1):
        os.kill(pid, 9)
    return 0
