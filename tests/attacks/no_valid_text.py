"""Prints every byte there is, which is no UTF-8."""
# kind: stdin
# verdicts: WA

import os

os.write(1, bytes(range(256)))
