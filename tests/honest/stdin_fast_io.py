"""Reads by os.fstat's size into a BytesIO, as competitive programmers' templates do."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

import io
import os
import sys

input = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline
input()
out = io.StringIO()
print(sum(map(int, input().split())), file=out)
sys.stdout.write(out.getvalue())
