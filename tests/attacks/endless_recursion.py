"""Recurses for ever."""
# kind: function
# verdicts: RE



def f(x):
    return f(x)
