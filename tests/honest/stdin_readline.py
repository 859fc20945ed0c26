"""Puts readline in the place of input."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

import sys

input = sys.stdin.readline
n = int(input())
print(sum(map(int, input().split())))
