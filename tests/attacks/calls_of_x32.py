"""Calls the kernel by numbers of the x32 interface, which filters may forget."""
# kind: function
# verdicts: SV, RE, WA

import ctypes
import os


def f(x):
    if os.uname().machine != "x86_64":
        return 0
    libc = ctypes.CDLL(None)
    for number in (39, 41, 272, 425):  # getpid, socket, unshare, io_uring_setup
        if libc.syscall(0x40000000 | number, 1, 1, 0) >= 0:
            return 918273645
    return 0
