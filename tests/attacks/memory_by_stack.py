"""Recurses in a thread with a stack of a gigabyte."""
# kind: function
# verdicts: MLE, RE, WA

import sys
import threading

sys.setrecursionlimit(10**9)


def down(n):
    return down(n + 1) + 1 if n < 10**6 else 0


def f(x):
    threading.stack_size(1 << 30)
    thread = threading.Thread(target=down, args=(0,))
    thread.start()
    thread.join()
    return 918273645
