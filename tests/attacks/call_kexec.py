"""Asks for another kernel."""
# kind: function
# verdicts: SV, WA

import ctypes
import os

NUMBERS = {"x86_64": 246, "aarch64": 104}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    if number is None:
        return 0
    # A segment count that is refused, should it ever get so far.
    return 918273645 if ctypes.CDLL(None).syscall(number, 0, 1000, None, 0) == 0 else 0
