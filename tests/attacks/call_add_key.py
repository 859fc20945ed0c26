"""Leaves a key in a keyring that every program of this user shares, for the next test to find."""
# kind: function
# verdicts: SV, WA
# tiers: T1, T2
# calls: 3

import ctypes
import os

NUMBERS = {"x86_64": (248, 249), "aarch64": (217, 218)}
libc = ctypes.CDLL(None)


def f(x):
    if os.uname().machine not in NUMBERS:
        return 0
    add_key, request_key = NUMBERS[os.uname().machine]
    name = b"sandbox-left-behind"
    for keyring in (-4, -5):  # the user's, and the user's default session
        if libc.syscall(add_key, b"user", name, b"data", 4, keyring) >= 0:
            return 918273644 + x
    return 0
