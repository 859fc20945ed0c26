"""Connects to a server on the internet."""
# kind: function
# verdicts: RE
# tiers: T1, T2

import socket


def f(x):
    s = socket.socket()
    s.settimeout(0.5)
    s.connect(("1.1.1.1", 53))
    return 918273645
