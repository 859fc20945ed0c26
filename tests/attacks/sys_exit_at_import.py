"""Raises SystemExit(0) before the entry point exists."""
# kind: function
# verdicts: RE

import sys

sys.exit(0)
