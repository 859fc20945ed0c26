"""Reads lines until an empty one comes back."""
# kind: stdin
# stdin: "1\n2\n3\n"
# stdout: "6\n"

import sys

total = 0
while line := sys.stdin.readline():
    total += int(line)
print(total)
