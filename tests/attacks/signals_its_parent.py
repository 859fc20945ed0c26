"""Sends every signal to the process that started it."""
# kind: function
# verdicts: WA, RE
# tiers: T1

import os


def f(x):
    for number in range(1, 65):
        try:
            os.kill(os.getppid(), number)
        except OSError:
            pass
    return 0
