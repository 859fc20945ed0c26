"""Puts stdout in the place of every other descriptor, and prints messages."""
# kind: function
# verdicts: RE, WA

import os
import struct


def f(x):
    for fd in range(3, 256):
        os.dup2(1, fd)
    payload = b'{"values": [{"verdict": "AC"}]}'
    os.write(1, struct.pack(">I", len(payload)) + payload)
    return 0
