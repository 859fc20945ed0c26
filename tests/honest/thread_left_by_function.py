"""Returns the right value while a thread that is no daemon goes on."""
# kind: function
# args: (3,)
# expected: 3

import threading
import time


def f(x):
    threading.Thread(target=time.sleep, args=(60,)).start()
    return x
