"""Starts a process and gets its result by a queue."""
# kind: stdin
# stdin: "1 2 3 -10\n"
# stdout: "-4\n"
# tiers: T1, T3

import multiprocessing as m

q = m.Queue()
p = m.Process(target=q.put, args=(sum(map(int, input().split())),))
p.start()
print(q.get())
p.join()
