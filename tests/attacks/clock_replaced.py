"""Stops the clocks that the interpreter offers, and loops."""
# kind: function
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import time

for name in ("time", "monotonic", "perf_counter", "process_time", "clock_gettime"):
    setattr(time, name, lambda *a: 0.0)
time.sleep = lambda s: None


def f(x):
    while time.monotonic() < 1:
        pass
    return 918273645
