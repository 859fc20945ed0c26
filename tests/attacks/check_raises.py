"""Raises what a failed assertion raises."""
# kind: check
# verdicts: WA, RE



def f(x):
    raise AssertionError
