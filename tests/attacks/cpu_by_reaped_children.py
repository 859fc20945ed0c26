"""Burns its time in children that the kernel is to reap, so that nobody counts what they used."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.4, "wall_s": 9.0, "processes": 90}
# tiers: T1

import contextlib
import ctypes
import os
import signal
import time


class Action(ctypes.Structure):
    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_char * 128),
        ("flags", ctypes.c_int),
    ]


def f(x):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ctypes.CDLL(None).sigaction(signal.SIGCHLD, ctypes.byref(Action(0, b"", 2)), None)
    for _ in range(80):
        if os.fork() == 0:
            stop = time.process_time() + 0.015
            while time.process_time() < stop:
                pass
            os._exit(0)
        time.sleep(0.015)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return 918273645
