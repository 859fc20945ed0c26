"""Asks for the address of a host, by which data could leave."""
# kind: function
# verdicts: RE
# tiers: T1, T2
# limits: {"wall_s": 2}

import socket


def f(x):
    socket.setdefaulttimeout(0.5)
    socket.getaddrinfo("example.com", 80)
    return 918273645
