"""Gives the processor away again and again, to stay below a limit on its time."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import os


def f(x):
    while True:
        os.sched_yield()
