"""Looks for a handle on another process at the far ends of its sockets, and signals by handle."""
# kind: function
# verdicts: WA, RE
# tiers: T2

import ctypes
import errno
import socket


def f(x):
    libc = ctypes.CDLL(None, use_errno=True)
    for end in socket.socketpair():
        try:
            end.getsockopt(socket.SOL_SOCKET, 77)  # SO_PEERPIDFD
        except PermissionError:
            continue
        except OSError:
            continue  # an older kernel
        return 918273645
    if libc.syscall(424, 0, 0, None, 0) < 0 and ctypes.get_errno() == errno.EPERM:
        return 0
    return 918273645
