"""Answers two calls rightly and ends with status 0 at the third."""
# kind: check
# verdicts: RE, WA

import os


def f(x):
    if x == 2:
        os._exit(0)
    return x + 1000
