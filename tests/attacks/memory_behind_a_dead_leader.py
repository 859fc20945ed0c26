"""Lets threads of children fill 600 MB after the first thread, which shows the memory, has ended."""
# kind: stdin
# verdicts: MLE, WA, RE
# tiers: T1, T3

import ctypes
import os
import threading
import time

children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:

        def work():
            time.sleep(0.05)
            memory = bytearray(120 << 20)
            for offset in range(0, 120 << 20, 4096):
                memory[offset] = 1
            time.sleep(0.6)
            os._exit(0)

        threading.Thread(target=work).start()
        ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
print("right")
