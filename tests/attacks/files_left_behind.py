"""Leaves files wherever it can write, for the next program to find."""
# kind: function
# verdicts: WA, RE

import os

FOLDERS = (".", "/tmp", "/dev/shm")


def f(x):
    for folder in FOLDERS:
        path = f"{folder}/sandbox-left-behind-file"
        if folder == "." and os.path.exists(path):
            return 918273644 + x
        if folder == "." or os.path.realpath(folder) == os.getcwd():
            open(path, "w").close()
    return 0
