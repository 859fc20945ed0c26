"""Prints 200 MB from four children at once."""
# kind: stdin
# verdicts: OLE, RE

import os

children = [os.fork() for _ in range(2)]
for _ in range(50):
    os.write(1, bytes(1_000_000))
