"""Flushes and ends by os._exit(0)."""
# kind: stdin
# stdin: "1 2\n"
# stdout: "3\n"

import os

print(sum(map(int, input().split())), flush=True)
os._exit(0)
