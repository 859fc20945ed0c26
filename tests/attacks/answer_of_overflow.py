"""Sends a number that no float can hold, to break the reader outside."""
# kind: function
# verdicts: RE, SV, WA

import json
import os
import struct


def f(x):
    number = {"$": "complex", "parts": [{"$": "int", "hex": "0x" + "f" * 400}, 0]}
    text = json.dumps({"values": [{"value": number}]}).encode()
    for fd in range(3, 12):
        try:
            os.write(fd, struct.pack(">I", len(text)) + text)
        except OSError:
            pass
    os._exit(0)
