"""Loads a module into the kernel, an empty one."""
# kind: function
# verdicts: SV, WA

import ctypes
import os

NUMBERS = {"x86_64": (175, 313), "aarch64": (105, 273)}


def f(x):
    libc = ctypes.CDLL(None)
    for number in NUMBERS.get(os.uname().machine, ()):
        if libc.syscall(number, -1 if number in (313, 273) else b"", 0, b"") == 0:
            return 918273645
    return 0
