"""Sets the resource limits of the process that started it, to what they are."""
# kind: function
# verdicts: RE, WA
# tiers: T1, T2

import os
import resource


def f(x):
    for pid in (1, os.getppid()):
        for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
            try:
                limits = resource.prlimit(pid, kind)
                resource.prlimit(pid, kind, limits)
            except OSError:
                continue
            return 918273645
    return 0
