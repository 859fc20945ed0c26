"""Leaves children that have ended and were never waited for."""
# kind: function
# verdicts: WA, RE

import os


def f(x):
    for _ in range(200):
        try:
            if os.fork() == 0:
                os._exit(0)
        except OSError:
            return 0
    return 918273645
