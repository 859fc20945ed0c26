"""Catches its own endless recursion."""
# kind: function
# args: (1,)
# expected: "too deep"



def endless(x):
    return endless(x + 1)


def f(x):
    try:
        return endless(x)
    except RecursionError:
        return "too deep"
