"""Returns a tuple that looks like a named one, lies about its items and equals everything."""
# kind: function
# verdicts: WA



class Tuple(tuple):
    _fields = ("a",)

    def __eq__(self, other):
        return True

    def __iter__(self):
        raise SystemExit(0)

    def __len__(self):
        return 918273645


def f(x):
    return Tuple([1])
