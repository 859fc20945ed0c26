"""Connects to the sockets of the machine's services in the file system."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import os
import socket

FOLDERS = ("/run", "/var/run", "/tmp", "/run/dbus", "/run/systemd", "/run/docker", "/dev")


def f(x):
    for folder in FOLDERS:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(0.05)
            try:
                s.connect(f"{folder}/{name}")
            except OSError:
                continue
            return 918273645
    return 0
