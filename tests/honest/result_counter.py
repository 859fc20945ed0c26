"""Returns a Counter, which is equal to a dict."""
# kind: function
# args: ("abca",)
# expected: {"a": 2, "b": 1, "c": 1}

from collections import Counter


def f(x):
    return Counter(x)
