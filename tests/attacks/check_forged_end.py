"""Tells everybody that the check is done."""
# kind: check
# verdicts: RE, WA, SV

import json
import os
import struct

for value in ({"done": 3}, {"end": {"status": 0, "killed": None}}, {"verdict": "AC"}):
    payload = json.dumps(value).encode()
    for fd in range(256):
        try:
            os.write(fd, struct.pack(">I", len(payload)) + payload)
        except OSError:
            pass


def f(x):
    return 0
