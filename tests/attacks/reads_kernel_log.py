"""Reads the kernel's messages."""
# kind: function
# verdicts: SV, WA, RE
# tiers: T1, T2

import ctypes
import os

NUMBERS = {"x86_64": 103, "aarch64": 116}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    buffer = ctypes.create_string_buffer(4096)
    if number is not None and ctypes.CDLL(None).syscall(number, 3, buffer, 4096) > 0:
        return 918273645
    return 0
