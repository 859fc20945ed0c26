"""Returns NaN and infinities, which have no JSON form."""
# kind: function
# verdicts: WA



def f(x):
    return [float("nan"), float("inf"), complex("nan-infj"), {float("nan"): 0}]
