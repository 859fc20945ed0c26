"""Takes files, memory and processes away from the process that started it."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import os
import resource


def f(x):
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_NPROC):
        try:
            resource.prlimit(os.getppid(), kind, (0, 0))
        except OSError:
            pass
    return 0
