"""Reads and writes 60,000 lines."""
# kind: stdin
# stdin-python: "".join(f"{i}\n" for i in range(60_000))
# stdout-python: "".join(f"{i}\n" for i in range(60_000))
# limits: {"output_kib": 1024}

import sys

for line in sys.stdin:
    print(int(line))
