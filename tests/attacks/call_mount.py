"""Mounts a file system whose memory no limit counts."""
# kind: function
# verdicts: SV, WA

import ctypes
import os


def f(x):
    libc = ctypes.CDLL(None)
    os.mkdir("m")
    if libc.mount(b"none", b"m", b"tmpfs", 0, b"size=4k") == 0:
        libc.umount2(b"m", 2)
        return 918273645
    return 0
