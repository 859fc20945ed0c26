"""Computes in short-lived children of children, none of which it waits for itself."""
# kind: function
# verdicts: TLE, RE
# limits: {"cpu_s": 0.3}

import os
import time


def f(x):
    read, write = os.pipe()
    for _ in range(6):
        if os.fork() == 0:
            if os.fork() == 0:
                while time.process_time() < 0.15:
                    pass
                os.write(write, b".")
            os._exit(0)
        os.wait()
        os.read(read, 1)
    return 918273645
