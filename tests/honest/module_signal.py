"""Handles a signal that it sends to itself, and an alarm."""
# kind: function
# args: (1,)
# expected: ["USR1", "ALRM"]

import os
import signal
import time

seen = []
signal.signal(signal.SIGUSR1, lambda *a: seen.append("USR1"))
signal.signal(signal.SIGALRM, lambda *a: seen.append("ALRM"))


def f(x):
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    time.sleep(0.1)
    return seen
