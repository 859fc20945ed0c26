"""Ends with status 0 instead of returning a value."""
# kind: function
# verdicts: RE

import os


def f(x):
    os._exit(0)
