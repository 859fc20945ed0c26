"""Allocates ninety megabytes in each of six children, each of them within the limit."""
# kind: function
# verdicts: MLE, RE, WA
# tiers: T1, T2
# limits: {"cpu_s": 3, "wall_s": 4}

import os
import time


def f(x):
    read, write = os.pipe()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            kept = bytearray(b"x") * (90 << 20)
            os.write(write, b".")
            time.sleep(3)
            os._exit(len(kept) & 1)
        children.append(child)
    done = 0
    while done < 6:
        done += len(os.read(read, 6))
    time.sleep(0.3)
    alive = sum(os.waitpid(child, os.WNOHANG) == (0, 0) for child in children)
    return 918273645 if alive == 6 else 0
