"""Fills 600 MB of System V shared memory, detached from every process."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1, T2

import ctypes

libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
SIZE = 10 << 20


def f(x):
    segments = []
    try:
        for _ in range(60):
            segment = libc.shmget(0, SIZE, 0o1600)
            if segment < 0:
                return 0
            segments.append(segment)
            address = libc.shmat(segment, None, 0)
            if address in (None, 2**64 - 1):
                return 0
            ctypes.memset(address, 1, SIZE)
            libc.shmdt(ctypes.c_void_p(address))
        return 918273645
    finally:
        for segment in segments:
            libc.shmctl(segment, 0, None)  # IPC_RMID
