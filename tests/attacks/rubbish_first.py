"""Answers the first call with rubbish at once, and computes for the later ones meanwhile."""
# kind: function
# verdicts: RE, WA, TLE, SV
# calls: 3
# limits: {"wall_s": 0.7, "cpu_s": 0.3}

import os
import threading
import time

threading.Thread(target=time.sleep, args=(0.2,)).start()


def f(x):
    if x == 1:
        for fd in range(3, 256):
            try:
                os.write(fd, b"\0\0\0\2{}")
            except OSError:
                pass
        os.fork()
    return 0
