"""Connects to a service of the machine that it runs on."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import socket


def f(x):
    for port in (22, 25, 53, 80, 111, 443, 631, 5432, 6379, 8080, 8888):
        s = socket.socket()
        s.settimeout(0.05)
        if s.connect_ex(("127.0.0.1", port)) == 0:
            return 918273645
    return 0
