"""Fills 600 MB of anonymous files, which no limit on address space counts."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1, T2

import os


def f(x):
    data = bytes(10 << 20)
    for _ in range(60):
        try:
            os.write(os.memfd_create("x"), data)
        except OSError:
            return 0
    return 918273645
