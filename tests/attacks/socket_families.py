"""Makes sockets of families that no network namespace holds, or that open rare code of the
kernel."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import os
import socket

# AF_VSOCK, AF_ALG, AF_XDP, AF_CAN, AF_BLUETOOTH, AF_TIPC, AF_KEY, AF_RDS, AF_NFC, AF_QIPCRTR
RARE = ((40, 1, 0), (38, 5, 0), (44, 3, 0), (29, 3, 1), (31, 3, 1), (30, 1, 0), (15, 3, 2))
RARE += ((21, 5, 0), (39, 5, 0), (42, 2, 0))


def f(x):
    for family, kind, protocol in RARE:
        try:
            socket.socket(family, kind, protocol)
        except OSError:
            continue
        return 918273645
    return 0
