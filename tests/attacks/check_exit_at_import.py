"""Ends with status 0 before it is called."""
# kind: check
# verdicts: RE, WA

import os

os._exit(0)
