"""Returns a set of numbers that all have one hash, slow to put together again."""
# kind: function
# verdicts: RE



def f(x):
    return {i * (2**61 - 1) for i in range(1500)}
