"""Leaves a daemon thread behind, for which nobody waits."""
# kind: stdin
# stdin: ""
# stdout: "done\n"

import threading
import time

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("done")
