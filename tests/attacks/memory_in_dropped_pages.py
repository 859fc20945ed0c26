"""Fills shared memory and drops the pages from its own sight, where they are no one's."""
# kind: function
# verdicts: RE, WA, MLE
# tiers: T1, T2

import ctypes
import mmap
import os

SIZE = 8 << 20


def f(x):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    zero = os.open("/dev/zero", os.O_RDWR) if os.path.exists("/dev/zero") else -1
    for _ in range(40):
        for fd, flags in (
            (-1, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
            (zero, mmap.MAP_SHARED),
            (-1, 0x23),
        ):
            area = libc.mmap(None, SIZE, 3, flags, fd, 0)
            if area != 2**64 - 1:
                break
        else:
            return 0
        ctypes.memset(area, 1, SIZE)
        libc.madvise(ctypes.c_void_p(area), ctypes.c_size_t(SIZE), 4)  # MADV_DONTNEED
        libc.munmap(ctypes.c_void_p(area + 4096), ctypes.c_size_t(SIZE - 4096))
    return 918273645
