"""Reads what it wrote to every pipe, so that each is readable and then gives nothing to read."""
# kind: function
# verdicts: TLE, SV, RE
# limits: {"wall_s": 1.0}

import contextlib
import os
import threading
import time


def drain(name):
    with contextlib.suppress(OSError):
        own = os.open(f"/proc/self/fd/{name}", os.O_RDONLY)
        while True:
            os.write(int(name), b"\0")
            os.read(own, 1)


def f(x):
    for name in os.listdir("/proc/self/fd"):
        threading.Thread(target=drain, args=(name,), daemon=True).start()
    time.sleep(12)
    return 918273645
