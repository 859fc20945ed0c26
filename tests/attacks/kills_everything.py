"""Kills every process that it may."""
# kind: function
# verdicts: WA, RE
# tiers: T1

import os
import signal


def f(x):
    os.kill(-1, signal.SIGKILL)
    return 0
