"""Reads by os.read and writes by os.write, without any buffer."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

import os

d = os.read(0, 1 << 20).split()
os.write(1, str(sum(map(int, d[1:]))).encode())
