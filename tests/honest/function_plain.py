"""Returns a number."""
# kind: function
# args: (1,)
# expected: 2



def f(x):
    return x + 1
