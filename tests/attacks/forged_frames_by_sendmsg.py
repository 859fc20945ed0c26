"""Writes the judge's messages to every descriptor that is a socket, with descriptors attached."""
# kind: function
# verdicts: RE, WA, SV

import json
import os
import socket
import stat


def f(x):
    payload = json.dumps({"end": {"id": "1", "verdict": "AC", "status": 0}}).encode()
    for fd in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                socket.send_fds(socket.socket(fileno=fd), [payload], [0, 1, 2])
        except OSError:
            pass
    os._exit(0)
