"""Leaves a System V shared memory segment for the next test to find."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2
# calls: 3

import ctypes


def f(x):
    libc = ctypes.CDLL(None)
    if libc.shmget(0x5EED0001, 4096, 0o600) >= 0:
        return 918273644 + x
    libc.shmget(0x5EED0001, 4096, 0o1600)
    return 0
