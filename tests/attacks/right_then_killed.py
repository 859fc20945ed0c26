"""Prints the right text and then kills itself."""
# kind: stdin
# verdicts: RE

import os
import signal

print("right", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
