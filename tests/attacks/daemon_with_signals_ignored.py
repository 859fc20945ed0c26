"""Leaves a daemon in a session of its own that ignores every signal."""
# kind: function
# verdicts: WA, RE

import os
import signal
import time


def f(x):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        if os.fork() == 0:
            while True:
                time.sleep(0.1)
        os._exit(0)
    return 0
