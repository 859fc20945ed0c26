"""A timer signal ends the process with status 0 in the middle of the harness."""
# kind: function
# verdicts: RE, WA

import os
import signal
import time

signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
signal.setitimer(signal.ITIMER_REAL, 0.02)


def f(x):
    time.sleep(0.2)
    return 0
