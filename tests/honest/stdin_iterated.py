"""Iterates over the lines of stdin."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

import sys

lines = [x for x in sys.stdin]
print(sum(map(int, lines[1].split())))
