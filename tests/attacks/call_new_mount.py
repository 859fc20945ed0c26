"""Mounts a file system by the calls that have replaced mount."""
# kind: function
# verdicts: SV, WA

import ctypes


def f(x):
    libc = ctypes.CDLL(None)
    if libc.syscall(430, b"tmpfs", 0) >= 0:  # fsopen
        return 918273645
    if libc.syscall(428, -100, b"/", 1) >= 0:  # open_tree, OPEN_TREE_CLONE
        return 918273645
    return 0
