"""Prints the right text, ends well, and fails in an exit handler."""
# kind: stdin
# verdicts: RE

import atexit
import os
import sys


def fail():
    sys.stdout.flush()
    os._exit(5)


atexit.register(fail)
print("right")
