"""Kills the process that started it."""
# kind: function
# verdicts: WA, RE, SV

import os
import signal


def f(x):
    os.kill(os.getppid(), signal.SIGKILL)
    return 0
