"""Writes bytes that are no message to every descriptor."""
# kind: function
# verdicts: RE, WA, OLE, SV

import os


def f(x):
    for fd in range(256):
        try:
            os.write(fd, b"\xff" * 4000)
        except OSError:
            pass
    return 0
