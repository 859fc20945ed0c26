"""Returns a module."""
# kind: function
# verdicts: WA



def f(x):
    import os

    return os
