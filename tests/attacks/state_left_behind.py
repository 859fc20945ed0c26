"""Leaves its state in modules, the environment and the working directory, for the next test."""
# kind: function
# verdicts: WA, RE
# calls: 3

import builtins
import os
import sys

FOUND = hasattr(builtins, "left") or "LEFT" in os.environ or "left" in sys.modules


def f(x):
    builtins.left = 1
    os.environ["LEFT"] = "1"
    sys.modules["left"] = sys
    os.umask(0o777)
    return 918273644 + x if FOUND else 0
