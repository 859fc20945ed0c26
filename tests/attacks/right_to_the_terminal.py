"""Writes the right text to the terminal and to the descriptors that belong to others."""
# kind: stdin
# verdicts: WA, RE

import os

for fd in (0, *range(2, 256)):
    try:
        os.write(fd, b"right\n")
    except OSError:
        pass
open("/dev/tty", "w").write("right\n")
