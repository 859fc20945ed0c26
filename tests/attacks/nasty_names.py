"""Leaves files and directories that are hard to remove by name, by rights or by kind."""
# kind: function
# verdicts: WA, RE
# calls: 3

import os


def f(x):
    for name in (b"\xff\xfe", b"a\nb", b"-rf", b" ", b"x" * 255, "\u202e".encode()):
        open(name, "w").close()
    os.mkfifo("pipe")
    os.symlink("/", "root")
    os.symlink("loop", "loop")
    os.link("-rf", "linked")
    os.makedirs("closed/inner/more")
    for name in ("closed/inner", "closed"):
        os.chmod(name, 0)
    os.chmod(".", 0)
    return 0
