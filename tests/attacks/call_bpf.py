"""Loads a program into the kernel."""
# kind: function
# verdicts: SV, WA
# tiers: T1, T2

import ctypes
import os
import struct

NUMBERS = {"x86_64": 321, "aarch64": 280}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    if number is None:
        return 0
    array = struct.pack("4I", 2, 4, 8, 1).ljust(120, b"\0")  # BPF_MAP_CREATE of an array
    return 918273645 if ctypes.CDLL(None).syscall(number, 0, array, len(array)) >= 0 else 0
