"""Prints the right text and then reports failure by its exit status."""
# kind: stdin
# verdicts: RE

import sys

print("right")
sys.exit(3)
