"""Writes 40 MB to every descriptor but stdout, as long as anybody takes them."""
# kind: function
# verdicts: OLE, RE, TLE, WA, SV

import os


def f(x):
    for fd in range(3, 256):
        for _ in range(40):
            try:
                os.write(fd, b"\0" * 1_000_000)
            except OSError:
                break
    return 0
