"""Copies the descriptors of the process that started it into its own table."""
# kind: function
# verdicts: SV, WA, RE

import ctypes
import os


def f(x):
    libc = ctypes.CDLL(None)
    pidfd = os.pidfd_open(os.getppid())
    for n in range(64):
        if libc.syscall(438, pidfd, n, 0) >= 0:  # pidfd_getfd
            return 918273645
    return 0
