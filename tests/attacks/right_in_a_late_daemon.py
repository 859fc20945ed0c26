"""Leaves a process of its own session that prints the right text after everybody has gone."""
# kind: stdin
# verdicts: WA, RE

import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.3)
        os.write(1, b"right\n")
os._exit(0)
