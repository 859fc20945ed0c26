"""Starts a child in a user namespace by clone3, whose flags a filter cannot read."""
# kind: function
# verdicts: SV, WA, RE
# tiers: T1, T2

import ctypes
import os
import struct


def f(x):
    arguments = struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0)
    child = ctypes.CDLL(None).syscall(435, arguments, len(arguments))
    if child == 0:
        os._exit(0)
    return 918273645 if child > 0 else 0
