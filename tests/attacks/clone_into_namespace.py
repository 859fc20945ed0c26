"""Starts a child in a user namespace of its own, by the call that also starts threads."""
# kind: function
# verdicts: SV, WA, RE
# tiers: T1, T2

import ctypes
import os

NUMBERS = {"x86_64": 56, "aarch64": 220}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    if number is None:
        return 0
    child = ctypes.CDLL(None).syscall(number, 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return 918273645 if child > 0 else 0
