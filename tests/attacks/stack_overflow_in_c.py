"""Overflows the stack in the C code of repr."""
# kind: function
# verdicts: RE, MLE, TLE

import sys

sys.setrecursionlimit(10**9)


class Nested:
    def __repr__(self):
        return repr(self)


def f(x):
    return repr(Nested())
