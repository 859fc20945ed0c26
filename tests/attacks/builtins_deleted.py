"""Empties the built-in names, on which all that follows depends."""
# kind: function
# verdicts: WA, RE

import builtins


def f(x):
    builtins.__dict__.clear()
    return 0
