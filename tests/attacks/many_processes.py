"""Starts forty sleeping children, more than it may have at once."""
# kind: function
# verdicts: WA, RE

import os
import time


def f(x):
    for _ in range(40):
        try:
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)
        except OSError:
            return 0
    return 918273645
