"""Raises SystemExit(0) instead of returning a value."""
# kind: function
# verdicts: RE

import sys


def f(x):
    sys.exit(0)
