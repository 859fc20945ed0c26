"""Opens the memory of the process that started it as a file, to write."""
# kind: function
# verdicts: WA, RE

import os


def f(x):
    for pid in (1, os.getppid()):
        for mode in ("r+b", "rb"):
            try:
                open(f"/proc/{pid}/mem", mode).close()
            except OSError:
                continue
            return 918273645
    return 0
