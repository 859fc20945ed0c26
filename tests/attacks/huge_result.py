"""Returns four million characters."""
# kind: function
# verdicts: OLE



def f(x):
    return "x" * (1 << 22)
