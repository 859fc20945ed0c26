"""Raises an exception whose text has 40 MB, within the limit on memory."""
# kind: function
# verdicts: RE, MLE, TLE



class Bad(Exception):
    def __str__(self):
        return "x" * 40_000_000


def f(x):
    raise Bad
