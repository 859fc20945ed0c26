"""Changes the root directory."""
# kind: function
# verdicts: SV, WA

import ctypes
import os

NUMBERS = {"x86_64": 155, "aarch64": 41}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    os.mkdir("r")
    if number is not None and ctypes.CDLL(None).syscall(number, b"r", b"r") == 0:
        return 918273645
    return 0
