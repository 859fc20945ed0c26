"""Ends with status 0 before the entry point exists."""
# kind: function
# verdicts: RE

import os

os._exit(0)
