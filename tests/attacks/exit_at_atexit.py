"""Fails, and lets an exit handler turn the status into 0."""
# kind: function
# verdicts: RE

import atexit
import os

atexit.register(lambda: os._exit(0))


def f(x):
    raise ValueError
