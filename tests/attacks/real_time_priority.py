"""Asks for a priority above everything else on the machine."""
# kind: function
# verdicts: RE, WA

import os


def f(x):
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        try:
            os.sched_setscheduler(0, policy, os.sched_param(1))
        except OSError:
            continue
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return 918273645
    try:
        os.nice(-5)
    except OSError:
        return 0
    return 918273645
