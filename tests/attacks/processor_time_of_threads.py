"""Computes in four threads of C code, on as many processors as there are."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.4}

import hashlib
import threading

DATA = bytes(1 << 20)


def f(x):
    def work():
        for _ in range(1000):
            hashlib.sha256(DATA)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 918273645
