"""Imports itself as __main__."""
# kind: stdin
# stdin: ""
# stdout: "7 True\n"

import __main__
import sys

value = 7
print(__main__.value, sys.modules["__main__"] is __main__)
