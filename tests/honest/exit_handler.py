"""Prints its result in an exit handler."""
# kind: stdin
# stdin: "1 2\n"
# stdout: "first\n3\n"

import atexit

atexit.register(print, sum(map(int, input().split())))
print("first")
