"""Asks for memory that even the kernel cannot see."""
# kind: function
# verdicts: SV, WA, RE, MLE
# tiers: T1, T2

import ctypes


def f(x):
    return 918273645 if ctypes.CDLL(None).syscall(447, 0) >= 0 else 0
