"""Returns itself, a lambda and a bound method."""
# kind: function
# verdicts: WA



def f(x):
    return [f, lambda: 918273645, [].append]
