"""Takes away what is mounted over its own scratch directory."""
# kind: function
# verdicts: SV, WA
# tiers: T1, T2

import ctypes
import os


def f(x):
    return 0 if ctypes.CDLL(None).umount2(os.getcwd().encode(), 2) else 918273645
