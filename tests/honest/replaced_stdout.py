"""Replaces stdout after it has printed."""
# kind: stdin
# stdin: ""
# stdout: "3\n"

import io
import sys

print(3)
sys.stdout = io.StringIO()
print("for nobody")
