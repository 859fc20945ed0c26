"""Announces a message of four gigabytes and sends little of it."""
# kind: function
# verdicts: RE, WA, OLE, SV

import os


def f(x):
    for fd in range(3, 256):
        try:
            os.write(fd, b"\xff\xff\xff\xff" + b"[" * 1000)
        except OSError:
            pass
    os._exit(0)
