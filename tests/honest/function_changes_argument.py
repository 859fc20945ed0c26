"""Changes its argument in place and returns it."""
# kind: function
# args: ([3, 1, 2],)
# expected: [1, 2, 3]



def f(x):
    x.sort()
    return x
