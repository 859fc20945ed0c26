"""Returns a list that is nested a hundred thousand deep."""
# kind: function
# verdicts: WA, RE



def f(x):
    a = []
    for _ in range(100_000):
        a = [a]
    return a
