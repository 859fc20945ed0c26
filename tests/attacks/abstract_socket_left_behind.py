"""Leaves a daemon that listens on a socket without a file, for the next test to talk to."""
# kind: function
# verdicts: RE, WA
# calls: 3
# tiers: T1, T2

import os
import socket
import time

NAME = "\0sandbox-left-behind"


def f(x):
    s = socket.socket(socket.AF_UNIX)
    if s.connect_ex(NAME) == 0:
        return 918273644 + x
    s = socket.socket(socket.AF_UNIX)
    s.bind(NAME)
    s.listen()
    if os.fork() == 0:
        os.setsid()
        time.sleep(5)
        os._exit(0)
    return 0
