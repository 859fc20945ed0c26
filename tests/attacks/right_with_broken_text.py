"""Prints the right text and an incomplete UTF-8 sequence."""
# kind: stdin
# verdicts: WA

import os

os.write(1, b"right\xf0\x9f\x98")
