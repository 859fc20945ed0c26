"""Sends a datagram, for which no connection is needed."""
# kind: function
# verdicts: RE
# tiers: T1, T2

import socket


def f(x):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", ("192.0.2.1", 9))
    return 918273645
