"""Looks for processes that are not its own and not its parent's."""
# kind: function
# verdicts: WA, RE
# tiers: T1

import os


def f(x):
    pids = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
    return 918273645 if pids - {1, os.getpid(), os.getppid()} else 0
