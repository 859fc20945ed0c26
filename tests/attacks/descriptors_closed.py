"""Closes all descriptors before it returns."""
# kind: function
# verdicts: RE, WA

import os


def f(x):
    os.closerange(0, 256)
    return 0
