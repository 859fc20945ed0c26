"""Leaves its root directory by open directories and by paths of other processes."""
# kind: function
# verdicts: WA, RE
# tiers: T1

import os


def f(x):
    inside = os.stat("/")
    for path in ("/proc/1/root", f"/proc/{os.getppid()}/root", "/proc/1/cwd", "/.."):
        try:
            outside = os.stat(path)
        except OSError:
            continue
        if not os.path.samestat(inside, outside) and path != "/proc/1/cwd":
            return 918273645
    for fd in range(256):
        try:
            os.fchdir(fd)
        except OSError:
            continue
        return 918273645
    return 0
