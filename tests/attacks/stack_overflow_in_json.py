"""Overflows the stack in the C code that would write out its result."""
# kind: function
# verdicts: RE, MLE, TLE, WA

import sys

sys.setrecursionlimit(10**9)


def f(x):
    a = {}
    for _ in range(10**6):
        a = {"a": a}
    return a
