"""Leaves a POSIX message queue for the next test to find."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2
# calls: 3

import ctypes
import os

NUMBERS = {"x86_64": 240, "aarch64": 180}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    if number is None:
        return 0
    libc = ctypes.CDLL(None)
    name = b"sandbox-left-behind"
    if libc.syscall(number, name, os.O_RDONLY, 0, None) >= 0:
        return 918273644 + x
    libc.syscall(number, name, os.O_RDONLY | os.O_CREAT, 0o600, None)
    return 0
