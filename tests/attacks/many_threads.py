"""Starts forty sleeping threads, more than it may have at once."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1

import threading
import time


def f(x):
    threading.stack_size(1 << 16)
    for _ in range(40):
        try:
            threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
        except RuntimeError:
            return 0
    return 918273645
