"""A thread ends the process with status 0 while the program is still being imported."""
# kind: function
# verdicts: RE

import os
import threading
import time

threading.Thread(target=os._exit, args=(0,)).start()
time.sleep(0.3)


def f(x):
    return 0
