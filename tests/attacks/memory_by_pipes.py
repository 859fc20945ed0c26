"""Fills pipes that it has made as large as it may."""
# kind: function
# verdicts: WA, RE, MLE

import fcntl
import os


def f(x):
    held = 0
    data = bytes(1 << 20)
    try:
        for _ in range(50):
            _, write = os.pipe2(os.O_NONBLOCK)
            try:
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 1 << 24)
            except OSError:
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 1 << 20)
            try:
                while True:
                    held += os.write(write, data)
            except BlockingIOError:
                pass
    except OSError:
        pass
    return 918273645 if held > 400 << 20 else 0
