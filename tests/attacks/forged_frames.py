"""Writes the judge's own kinds of message to every descriptor and ends."""
# kind: function
# verdicts: RE, WA, SV

import json
import os
import struct

FORGED = (
    {"values": []},
    {"end": {"verdict": "AC", "status": 0}},
    {"done": 9},
    {"verdict": "AC", "passed": True},
    {"id": "1", "verdict": "AC", "values": [{"equal": True}]},
)


def f(x):
    for fd in range(256):
        for value in FORGED:
            payload = json.dumps(value).encode()
            try:
                os.write(fd, struct.pack(">I", len(payload)) + payload)
            except OSError:
                pass
    os._exit(0)
