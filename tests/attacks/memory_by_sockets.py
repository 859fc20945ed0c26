"""Fills the buffers of socket pairs, made as large as it may, with 400 MB."""
# kind: function
# verdicts: WA, RE, MLE, TLE
# tiers: T1, T2

import socket


def f(x):
    held, pairs, data = 0, [], bytes(1 << 17)
    try:
        for _ in range(50):
            pair = socket.socketpair()
            pairs.append(pair)
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
                end.setblocking(False)
                try:
                    while held < 400 << 20:
                        held += end.send(data)
                except BlockingIOError:
                    pass
    except OSError:
        pass
    return 918273645 if held >= 400 << 20 else 0
