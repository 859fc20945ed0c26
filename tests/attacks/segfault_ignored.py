"""Ignores the signal of a crash and reads address 0."""
# kind: function
# verdicts: RE, TLE
# limits: {"cpu_s": 0.3}

import ctypes
import signal

signal.signal(signal.SIGSEGV, lambda *a: None)
signal.signal(signal.SIGBUS, lambda *a: None)


def f(x):
    return ctypes.string_at(0)
