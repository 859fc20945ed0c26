"""Measures time, sleeps, and formats the beginning of time."""
# kind: stdin
# stdin: ""
# stdout: "True 1970-01-01\n"

import time

start = time.perf_counter()
time.sleep(0.02)
print(0.01 < time.perf_counter() - start < 5, time.strftime("%Y-%m-%d", time.gmtime(0)))
