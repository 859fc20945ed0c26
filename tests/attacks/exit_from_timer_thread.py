"""A timer thread ends the process with status 0 while the call is going on."""
# kind: function
# verdicts: RE

import os
import threading
import time

threading.Timer(0.05, lambda: os._exit(0)).start()


def f(x):
    time.sleep(0.3)
    return 0
