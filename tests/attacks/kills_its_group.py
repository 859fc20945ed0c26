"""Kills every process of its group and session."""
# kind: function
# verdicts: RE, WA
# tiers: T1

import os
import signal


def f(x):
    os.kill(0, signal.SIGKILL)
    return 0
