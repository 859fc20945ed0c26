"""Prints what an exceeded limit looks like, and fails, in the hope of a milder verdict."""
# kind: stdin
# verdicts: MLE, RE

import sys

print("right", flush=True)
sys.stderr.write("MemoryError\n")
sys.exit(1)
