"""Reads all of stdin at once."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

import sys

d = sys.stdin.read().split()
print(sum(map(int, d[1:])))
