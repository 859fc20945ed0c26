"""Overwrites the interpreter's own objects through ctypes."""
# kind: function
# verdicts: RE, WA, TLE
# limits: {"cpu_s": 0.3}

import ctypes


def f(x):
    ctypes.memset(id(None), 0xFF, 16)
    ctypes.memset(id(int) + 24, 0, 64)
    ctypes.memset(id(x) + 24, 0x7F, 4)
    return x
