"""Fills queues of events about files, which are no process's memory."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1, T2

import ctypes
import os


def f(x):
    libc = ctypes.CDLL(None)
    watches = [libc.inotify_init1(0o4000) for _ in range(50)]
    if min(watches) < 0:
        return 0
    for fd in watches:
        libc.inotify_add_watch(fd, b".", 0xFFF)
    names = ["a" * 250, "b" * 250]
    for name in names:
        open(name, "w").close()
    for number in range(2000):
        os.chmod(names[number % 2], 0o600)
    return 918273645
