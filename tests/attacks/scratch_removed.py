"""Removes, moves and replaces its own working directory."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2
# calls: 3

import os


def f(x):
    here = os.getcwd()
    for act in (
        lambda: os.rename(here, here + "-sandbox-left-behind"),
        lambda: os.rmdir(here),
        lambda: os.symlink("/", here),
        lambda: os.chmod(here, 0),
    ):
        try:
            act()
        except OSError:
            pass
    return 0
