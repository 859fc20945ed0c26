"""Makes files in folders that everybody shares, where the next program could find them."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2

import os


def f(x):
    # /tmp and /dev/shm are its own scratch directory or nothing at all.
    own = os.stat(os.getcwd())
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/var/lock", "/run/lock", "/dev/mqueue"):
        path = f"{folder}/sandbox-left-behind-shared"
        try:
            open(path, "x").close()
        except OSError:
            continue
        os.unlink(path)
        if not os.path.samestat(os.stat(folder), own):
            return 918273645
    return 0
