"""Calls the kernel by the door for 32-bit programs, whose numbers are others."""
# kind: function
# verdicts: SV, RE, WA
# tiers: T1, T2

import ctypes
import mmap
import os

# mov eax, 359 (socket); mov ebx, 1; mov ecx, 1; xor edx, edx; int 0x80; ret
CODE = bytes.fromhex("53b867010000bb01000000b90100000031d2cd805bc3")


def f(x):
    if os.uname().machine != "x86_64":
        return 0
    area = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return 918273645 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() >= 0 else 0
