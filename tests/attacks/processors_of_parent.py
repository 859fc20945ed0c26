"""Ties the process that started it to one processor."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import os


def f(x):
    for pid in (1, os.getppid()):
        try:
            os.sched_setaffinity(pid, {min(os.sched_getaffinity(pid))})
        except OSError:
            continue
        return 918273645
    return 0
