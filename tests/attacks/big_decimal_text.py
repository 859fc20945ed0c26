"""Converts an integer of five million digits to text, in C code."""
# kind: function
# verdicts: TLE, MLE, OLE
# limits: {"cpu_s": 0.3}

import sys

sys.set_int_max_str_digits(0)


def f(x):
    return str(1 << 20_000_000)
