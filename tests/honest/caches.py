"""Remembers the results of a recursive function."""
# kind: function
# args: (300,)
# expected: 222232244629420445529739893461909967206666939096499764990979600

from functools import cache, lru_cache, partial


@lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def f(x):
    return fib(x)
