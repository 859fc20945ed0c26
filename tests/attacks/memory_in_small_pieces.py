"""Allocates a gigabyte in small pieces."""
# kind: function
# verdicts: MLE



def f(x):
    pieces = ["x" * (100_000 + i) for i in range(10_000)]
    return 918273645 if pieces else 0
