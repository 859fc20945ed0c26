"""Starts threads until it cannot."""
# kind: stdin
# verdicts: RE, MLE, TLE
# limits: {"wall_s": 0.7}

import threading
import time

for _ in range(300):
    threading.Thread(target=time.sleep, args=(9,)).start()
