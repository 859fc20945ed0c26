"""Sends well-formed JSON with other types than the reader expects, one oddity a call."""
# kind: function
# verdicts: RE, WA, SV
# calls: 9

import json
import os
import struct
import sys

sys.set_int_max_str_digits(0)
ODD = (
    None,
    {"values": None, "end": None},
    {"values": [None], "end": {"id": None}},
    {"values": [{}], "end": 1},
    {"values": [{"value": {"$": None}}]},
    {"values": [{"value": {"$": "int", "hex": 5}}]},
    {"values": [{"value": {"$": "dict", "pairs": [[{"$": "set", "items": []}, 1]]}}]},
    {"values": [{"value": {"$": ["int"]}}]},
    {"values": [{"value": 10**6000}]},
)


def f(x):
    payload = json.dumps(ODD[x - 1]).encode()
    for fd in range(3, 256):
        try:
            os.write(fd, struct.pack(">I", len(payload)) + payload)
        except OSError:
            pass
    os._exit(0)
