"""Makes a user namespace of its own, in which it would have every right."""
# kind: function
# verdicts: SV, WA
# tiers: T1, T2

import ctypes


def f(x):
    return 0 if ctypes.CDLL(None).unshare(0x10000000) else 918273645
