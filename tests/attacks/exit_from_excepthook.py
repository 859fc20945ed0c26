"""Fails, and lets the hook that would print the traceback end the process with status 0."""
# kind: function
# verdicts: RE

import os
import sys

sys.excepthook = lambda *a: os._exit(0)


def f(x):
    raise ValueError
