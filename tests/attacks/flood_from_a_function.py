"""Prints 200 MB before it returns a value."""
# kind: function
# verdicts: OLE



def f(x):
    for _ in range(200):
        print("x" * 1_000_000)
    return 918273645
