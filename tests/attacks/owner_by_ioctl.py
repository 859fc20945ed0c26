"""Asks for a socket's signals to be sent to its parent, by the calls that are not fcntl."""
# kind: function
# verdicts: WA, RE
# tiers: T2

import fcntl
import os
import socket
import struct


def f(x):
    ours, _ = socket.socketpair()
    for request in (0x8901, 0x8902):  # FIOSETOWN, SIOCSPGRP
        try:
            fcntl.ioctl(ours, request, struct.pack("i", os.getppid()))
        except PermissionError:
            continue
        return 918273645
    return 0
