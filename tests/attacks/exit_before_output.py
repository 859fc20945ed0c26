"""Prints the right text into a buffer that it never flushes."""
# kind: stdin
# verdicts: WA

import os

print("right")
os._exit(0)
