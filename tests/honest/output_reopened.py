"""Replaces stdout by a line-buffered file on its descriptor."""
# kind: stdin
# stdin: ""
# stdout: "one\ntwo\n"

import os
import sys

sys.stdout = os.fdopen(1, "w", 1)
print("one")
print("two")
