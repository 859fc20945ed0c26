"""Waits for input on a pipe that nobody writes to."""
# kind: function
# verdicts: TLE
# limits: {"wall_s": 0.7}

import os


def f(x):
    return os.read(os.pipe()[0], 1)
