"""Recurses in a thread with a large stack."""
# kind: stdin
# stdin: "1 2 3 -10\n"
# stdout: "-4\n"

import sys
import threading

sys.setrecursionlimit(1 << 20)
threading.stack_size(1 << 27)


def f(values):
    return values[0] + f(values[1:]) if values else 0


def main():
    print(f(list(map(int, input().split()))))


t = threading.Thread(target=main)
t.start()
t.join()
