"""Stops itself, so that it neither ends nor uses time."""
# kind: function
# verdicts: TLE
# limits: {"wall_s": 0.7}

import os
import signal


def f(x):
    os.kill(os.getpid(), signal.SIGSTOP)
