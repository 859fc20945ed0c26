"""Forks during the call, so that two processes return to the harness."""
# kind: function
# verdicts: WA, RE, TLE, SV

import os


def f(x):
    os.fork()
    return 0
