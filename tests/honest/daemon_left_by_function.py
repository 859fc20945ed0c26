"""Returns the right value and leaves a process behind."""
# kind: function
# args: (3,)
# expected: 4
# tiers: T1, T3

import os
import time


def f(x):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    return x + 1
