"""Kills the process that started it."""
# kind: function
# verdicts: WA, RE

import os
import signal


def f(x):
    os.kill(os.getppid(), signal.SIGKILL)
    return 0
