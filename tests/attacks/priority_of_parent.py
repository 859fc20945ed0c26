"""Gives the process that started it the lowest priority, alone or with all of its user."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import os


def f(x):
    parent = os.getppid()
    before = os.getpriority(os.PRIO_PROCESS, parent)
    for which, who in ((os.PRIO_PROCESS, parent), (os.PRIO_PROCESS, 1), (os.PRIO_USER, 0)):
        try:
            os.setpriority(which, who, before + 1)
        except OSError:
            pass
    return 918273645 if os.getpriority(os.PRIO_PROCESS, parent) != before else 0
