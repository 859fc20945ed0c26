"""Reads and writes bytes."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

import sys

d = sys.stdin.buffer.read().split()
sys.stdout.buffer.write(b"%d\n" % sum(map(int, d[1:])))
