"""Returns infinities."""
# kind: function
# args: (1,)
# expected-python: [float("inf"), float("-inf")]



def f(x):
    return [float("inf"), float("-inf")]
