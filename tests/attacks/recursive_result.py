"""Returns a list that contains itself."""
# kind: function
# verdicts: WA



def f(x):
    a = []
    a.append(a)
    return {"a": a, "b": (a, [a])}
