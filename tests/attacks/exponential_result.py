"""Returns ten nested lists that repeat one another ten times each, ten billion items when
written out."""
# kind: function
# verdicts: OLE, MLE, TLE



def f(x):
    a = [x]
    for _ in range(10):
        a = [a] * 10
    return a
