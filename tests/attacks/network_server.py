"""Listens on every interface, for whoever comes."""
# kind: function
# verdicts: RE, WA
# tiers: T2

import socket


def f(x):
    s = socket.socket()
    s.bind(("0.0.0.0", 0))
    s.listen()
    return 918273645
