"""Sends a byte out of band on every descriptor, which is readable and yet gives nothing to read."""
# kind: function
# verdicts: TLE, SV
# limits: {"wall_s": 1.0}

import contextlib
import socket
import time


def f(x):
    for fd in range(64):
        with contextlib.suppress(OSError):
            socket.socket(fileno=fd).send(b"!", socket.MSG_OOB)
    time.sleep(12)
    return 918273645
