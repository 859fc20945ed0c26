"""Writes in parts and flushes them."""
# kind: stdin
# stdin: ""
# stdout: "a b\nc\n"

import sys

print("a", end="")
sys.stdout.write(" b\n")
sys.stdout.flush()
print("c", flush=True)
