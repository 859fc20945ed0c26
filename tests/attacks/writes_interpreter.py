"""Opens the interpreter's own files and programs to write."""
# kind: function
# verdicts: WA, RE

import os
import sys


def f(x):
    for path in (os.__file__, sys.executable, "/bin/sh", "/lib64/ld-linux-x86-64.so.2"):
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return 918273645
    return 0
