"""Recurses nine thousand deep."""
# kind: stdin
# stdin: ""
# stdout: "9000\n"

import sys

sys.setrecursionlimit(10**5)


def down(n):
    return 0 if n == 0 else 1 + down(n - 1)


print(down(9000))
