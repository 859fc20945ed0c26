"""Raises an exception whose text raises another."""
# kind: function
# verdicts: RE



class Bad(Exception):
    def __str__(self):
        raise Bad

    __repr__ = __str__


def f(x):
    raise Bad
