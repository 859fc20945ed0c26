"""Allocates a gigabyte at once."""
# kind: function
# verdicts: MLE



def f(x):
    return 918273644 + x if len(bytearray(1 << 30)) else 0
