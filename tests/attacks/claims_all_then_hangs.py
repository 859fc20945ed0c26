"""Claims every result at once and then never ends."""
# kind: function
# verdicts: TLE, RE, WA
# limits: {"wall_s": 0.7}

import json
import os
import struct
import time


def f(x):
    payload = json.dumps({"values": [{"value": 0}] * 9}).encode()
    for fd in range(3, 256):
        try:
            os.write(fd, struct.pack(">I", len(payload)) + payload)
        except OSError:
            pass
    time.sleep(30)
