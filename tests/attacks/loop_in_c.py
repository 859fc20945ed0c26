"""Loops in C code, where no signal handler of Python's runs."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import itertools


def f(x):
    return sum(itertools.repeat(0))
