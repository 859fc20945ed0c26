"""Ends with status 0 when it is called."""
# kind: check
# verdicts: RE, WA

import os


def f(x):
    os._exit(0)
