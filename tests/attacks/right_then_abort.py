"""Prints the right text and then aborts."""
# kind: stdin
# verdicts: RE

import os

print("right", flush=True)
os.abort()
