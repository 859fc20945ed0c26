"""Finds nothing on stdin."""
# kind: stdin
# stdin: ""
# stdout: "0 True\n"

import sys

ended = False
try:
    input()
except EOFError:
    ended = True
print(len(sys.stdin.read()), ended)
