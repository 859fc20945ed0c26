"""Defines the right function under another name."""
# kind: function
# verdicts: RE



def g(x):
    return 918273645
