"""Debugs a child of its own, whose calls it could change behind a filter."""
# kind: function
# verdicts: SV, RE, WA
# tiers: T1, T2

import ctypes
import os
import signal


def f(x):
    libc = ctypes.CDLL(None)
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.ptrace(0, 0, None, None) == 0 else 1)  # PTRACE_TRACEME
    status = os.waitpid(child, 0)[1]
    return 918273645 if status == 0 else 0
