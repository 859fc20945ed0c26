"""Answers wrongly when nobody looks any more."""
# kind: check
# verdicts: WA



def f(x):
    return x + 1000 if x < 2 else 0
