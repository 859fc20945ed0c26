"""Stops the process that started it, which would then guard nothing."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2

import os
import signal


def f(x):
    os.kill(os.getppid(), signal.SIGSTOP)
    return 0
