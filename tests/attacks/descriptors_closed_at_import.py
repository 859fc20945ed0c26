"""Closes all descriptors at import and opens others in their place."""
# kind: function
# verdicts: RE, WA

import os

os.closerange(0, 256)
for _ in range(100):
    os.open("/dev/zero", os.O_RDWR)


def f(x):
    return 0
