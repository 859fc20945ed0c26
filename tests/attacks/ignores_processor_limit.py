"""Catches the kernel's notice that its processor time is over, and raises the limit."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import resource
import signal

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
try:
    resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))
except (OSError, ValueError):
    pass


def f(x):
    while True:
        pass
