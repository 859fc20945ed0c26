"""Prints without end when it is called."""
# kind: check
# verdicts: OLE



def f(x):
    for _ in range(1_000_000):
        print("x" * 1000)
    return x + 1000
