"""Logs to stderr, warns, and prints a traceback there."""
# kind: stdin
# stdin: ""
# stdout: "done\n"

import logging
import sys
import traceback
import warnings

logging.basicConfig(level=logging.DEBUG)
logging.info("noise")
warnings.warn("old", DeprecationWarning)
print("debug", file=sys.stderr)
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
print("done")
