"""Prints the right answer and leaves a process of its own session behind."""
# kind: stdin
# stdin: ""
# stdout: "right\n"
# tiers: T1, T3

import os
import time

print("right", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
