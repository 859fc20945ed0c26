"""Sets its resource limits higher than they were."""
# kind: function
# verdicts: WA, RE

import resource

KINDS = ("AS", "CPU", "NOFILE", "FSIZE", "NPROC", "STACK", "CORE", "MEMLOCK")


def f(x):
    for name in KINDS:
        kind = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(kind)
        for higher in (-1, hard + 1):
            if hard != -1:
                try:
                    resource.setrlimit(kind, (higher, higher))
                    return 918273645
                except (OSError, ValueError):
                    pass
    return 0
