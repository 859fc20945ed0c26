"""Prints the right text to stderr."""
# kind: stdin
# verdicts: WA

import sys

print("right", file=sys.stderr)
