"""Matches a regular expression that backtracks for ever in C code."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import re


def f(x):
    return re.match("(a+)+$", "a" * 40 + "b")
