"""Reads its own source and signature."""
# kind: function
# args: (1,)
# expected: ["def g(a, b=2):", "(a, b=2)"]

import inspect


def g(a, b=2):
    return a


def f(x):
    return [inspect.getsource(g).splitlines()[0], str(inspect.signature(g))]
