"""Sends its own stdout, and the sockets it goes through, into a circle of sockets that holds them."""
# kind: stdin
# verdicts: WA

import os
import socket

a, b = socket.socketpair()
c, d = socket.socketpair()
for fd in (1, 2, a.fileno(), c.fileno()):
    socket.send_fds(b, [b"x"], [fd, d.fileno()])
    socket.send_fds(d, [b"x"], [fd, b.fileno()])
print("wrong", flush=True)
os._exit(0)
