"""Lets five children fill shared mappings of their own, 600 MB in all."""
# kind: stdin
# verdicts: MLE, WA, RE
# tiers: T1, T3

import mmap
import os
import time

children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        memory = mmap.mmap(-1, 120 << 20)
        for offset in range(0, 120 << 20, 4096):
            memory[offset] = 1
        time.sleep(0.6)
        os._exit(0)
    children.append(pid)
if not any([os.waitpid(pid, 0)[1] for pid in children]):
    print("right")
