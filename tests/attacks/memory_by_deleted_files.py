"""Fills 600 MB of files that have no name any more."""
# kind: function
# verdicts: WA, RE, MLE, TLE
# tiers: T1

import tempfile


def f(x):
    files = []
    try:
        for _ in range(60):
            files.append(tempfile.TemporaryFile())
            files[-1].write(bytes(10 << 20))
            files[-1].flush()
    except OSError:
        return 0
    return 918273645
