"""Opens the memory and environment of every other process that it can see."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2

import os


def f(x):
    for pid in os.listdir("/proc"):
        if pid.isdecimal() and int(pid) != os.getpid():
            for name in ("mem", "environ", "maps", "syscall"):
                try:
                    open(f"/proc/{pid}/{name}", "rb").close()
                except OSError:
                    continue
                return 918273645
    return 0
