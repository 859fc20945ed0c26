"""Changes its user and group to those that may do everything."""
# kind: function
# verdicts: WA, RE, SV

import os


def f(x):
    for change in (
        lambda: os.setuid(0),
        lambda: os.setresuid(0, 0, 0),
        lambda: os.setgid(0),
        lambda: os.setgroups([0]),
    ):
        try:
            change()
        except OSError:
            continue
        return 918273645
    return 0
