"""Writes 100 MB to stdout in one call."""
# kind: stdin
# verdicts: OLE

import os

os.write(1, bytes(100_000_000))
