"""Reads and writes the memory of the process that started it."""
# kind: function
# verdicts: SV, WA

import ctypes
import os


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def f(x):
    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(8)
    local = Vector(ctypes.addressof(buffer), 8)
    remote = Vector(id(f), 8)  # a fork: there is something at the same address
    for call in (libc.process_vm_readv, libc.process_vm_writev):
        if call(os.getppid(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0:
            return 918273645
    return 0
