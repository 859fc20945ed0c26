"""Prints the traceback of an exception of its own to stdout."""
# kind: stdin
# stdin: ""
# stdout: "ValueError: bad 3\n1\n"

import sys
import traceback

try:
    raise ValueError("bad", 3)
except ValueError as error:
    print(traceback.format_exception_only(ValueError("bad 3"))[0], end="")
    print(len(traceback.extract_tb(error.__traceback__)))
