"""Leaves a System V semaphore for the next test to find."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2
# calls: 3

import ctypes


def f(x):
    libc = ctypes.CDLL(None)
    if libc.semget(0x5EED0003, 1, 0o600) >= 0:
        return 918273644 + x
    libc.semget(0x5EED0003, 1, 0o1600)
    return 0
