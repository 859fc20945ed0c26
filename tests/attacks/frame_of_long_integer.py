"""Sends an integer of 60,000 digits and one with an exponent, which are slow or impossible to
read."""
# kind: function
# verdicts: RE, WA, OLE, SV

import os
import struct

PAYLOAD = b'{"values": [{"value": ' + b"9" * 60_000 + b'}, {"value": 1e999999999}]}'


def f(x):
    for fd in range(3, 256):
        try:
            os.set_blocking(fd, False)
            os.write(fd, struct.pack(">I", len(PAYLOAD)) + PAYLOAD)
        except OSError:
            pass
    os._exit(0)
