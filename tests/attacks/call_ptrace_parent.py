"""Attaches a debugger to the process that started it."""
# kind: function
# verdicts: SV, WA

import ctypes
import os


def f(x):
    libc = ctypes.CDLL(None)
    if libc.ptrace(0x4206, os.getppid(), None, None) == 0:  # PTRACE_SEIZE
        return 918273645
    return 0
