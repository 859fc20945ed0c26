"""Lets threads talk by a queue, a lock and a condition."""
# kind: stdin
# stdin: "5\n"
# stdout: "30\n"

import queue
import threading

q, lock, total = queue.Queue(), threading.Lock(), 0


def work():
    global total
    while (item := q.get()) is not None:
        with lock:
            total += item * item


threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads:
    t.start()
for i in range(int(input())):
    q.put(i)
for _ in threads:
    q.put(None)
for t in threads:
    t.join()
print(total)
