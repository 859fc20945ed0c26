"""Forks, and reads what the child has to say from a pipe."""
# kind: stdin
# stdin: ""
# stdout: "child 3\n"
# tiers: T1, T3

import os

r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b"child")
    os._exit(3)
_, status = os.wait()
print(os.read(r, 10).decode(), os.waitstatus_to_exitcode(status))
