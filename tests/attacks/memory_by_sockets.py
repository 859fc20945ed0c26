"""Fills the buffers of socket pairs."""
# kind: function
# verdicts: WA, RE, MLE

import socket


def f(x):
    held, pairs = 0, []
    try:
        for _ in range(50):
            pair = socket.socketpair()
            pairs.append(pair)
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
                end.setblocking(False)
                try:
                    while held < 1 << 30:
                        held += end.send(bytes(1 << 16))
                except BlockingIOError:
                    pass
    except OSError:
        pass
    return 918273645 if held > 400 << 20 else 0
