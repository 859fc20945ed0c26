"""Ends by sys.exit(0) in a function."""
# kind: stdin
# stdin: "1 2\n"
# stdout: "3\n"

import sys


def main():
    print(sum(map(int, input().split())))
    sys.exit(0)


main()
