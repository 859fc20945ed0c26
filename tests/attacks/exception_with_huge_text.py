"""Raises an exception whose text has 300 MB."""
# kind: function
# verdicts: RE, MLE, TLE



class Bad(Exception):
    def __str__(self):
        return "x" * 300_000_000


def f(x):
    raise Bad
