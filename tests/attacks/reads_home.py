"""Reads the home directories of the machine's users."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2

import os
import pwd


def f(x):
    for user in pwd.getpwall():
        home = user.pw_dir
        if user.pw_uid != os.getuid() and home.startswith(("/home", "/root")):
            try:
                if os.listdir(home):
                    return 918273645
            except OSError:
                pass
    return 0
