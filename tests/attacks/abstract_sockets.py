"""Connects to sockets without a file, which no mount namespace hides."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import socket


def f(x):
    try:
        lines = open("/proc/net/unix").read().splitlines()
    except OSError:
        lines = []
    names = [line.split()[7] for line in lines[1:] if len(line.split()) > 7]
    for name in [*names, "@/tmp/.X11-unix/X0", "@/containerd-shim", "@dbus"]:
        if name.startswith("@"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
                s = socket.socket(socket.AF_UNIX, kind)
                s.settimeout(0.05)
                if s.connect_ex("\0" + name[1:]) == 0:
                    return 918273645
    return 0
