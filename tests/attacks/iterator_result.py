"""Returns an endless iterator."""
# kind: function
# verdicts: WA

import itertools


def f(x):
    return itertools.repeat(918273645)
