"""Prints 200 MB to stderr, and fails."""
# kind: stdin
# verdicts: TLE, OLE, RE

import sys

for _ in range(20_000):
    sys.stderr.write("x" * 10_000)
sys.exit(1)
