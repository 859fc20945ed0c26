"""Computes with integers of thousands of digits."""
# kind: function
# args: (7,)
# expected-python: [7**4000, 7**4000 % (10**9 + 7), 3381]

import sys

sys.set_int_max_str_digits(0)


def f(x):
    n = x**4000
    return [n, pow(x, 4000, 10**9 + 7), len(str(n))]
