"""Fills the buffers of the socket pairs of twelve children, 300 MB in all."""
# kind: function
# verdicts: MLE, WA, RE
# tiers: T1

import contextlib
import os
import socket
import time


def fill():
    held, filled = [], 0
    with contextlib.suppress(OSError):
        while len(held) < 120:
            pair = socket.socketpair()
            held.append(pair)
            for end in pair:
                end.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        filled += end.send(bytes(65536))
    return held, filled


def f(x):
    children = []
    for _ in range(12):
        child = os.fork()
        if child == 0:
            held, filled = fill()
            time.sleep(0.7)
            os._exit(0 if filled > 25 << 20 else 1)
        children.append(child)
    failed = [os.waitpid(child, 0)[1] for child in children]
    return 0 if any(failed) else 918273645
