"""Allocates a hundred megabytes in each of ten threads."""
# kind: function
# verdicts: MLE, RE, WA

import threading

kept = []


def f(x):
    def work():
        kept.append(bytearray(b"x") * (100 << 20))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 918273645 if len(kept) == 10 else 0
