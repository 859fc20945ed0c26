"""Joins the keyrings of its user."""
# kind: function
# verdicts: SV, WA
# tiers: T1, T2

import ctypes
import os

NUMBERS = {"x86_64": 250, "aarch64": 219}


def f(x):
    number = NUMBERS.get(os.uname().machine)
    if number is None:
        return 0
    # KEYCTL_JOIN_SESSION_KEYRING; KEYCTL_GET_KEYRING_ID of the user's, made if there is none
    libc = ctypes.CDLL(None)
    for arguments in ((1, None), (0, -4, 1)):
        if libc.syscall(number, *arguments) >= 0:
            return 918273645
    return 0
