"""Lets the fault handler write its report to every descriptor, and crashes."""
# kind: function
# verdicts: RE, SV

import ctypes
import faulthandler

for fd in range(3, 256):
    try:
        faulthandler.enable(file=fd)
        faulthandler.dump_traceback(file=fd)
    except (OSError, ValueError):
        pass


def f(x):
    return ctypes.string_at(0)
