"""Returns an object whose pickle would evaluate code where it is read."""
# kind: function
# verdicts: WA



class Reduce:
    def __reduce__(self):
        return eval, ("918273645",)


def f(x):
    return Reduce()
