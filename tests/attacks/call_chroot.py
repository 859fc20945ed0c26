"""Makes its scratch directory its root, where it could forge whatever files others trust."""
# kind: function
# verdicts: SV, WA, RE

import os


def f(x):
    os.chroot(".")
    return 918273645
