"""Leaves a daemon that keeps every descriptor open, so that nobody sees their end."""
# kind: function
# verdicts: WA, RE

import os
import time


def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(30)
        os._exit(0)
    return 0
