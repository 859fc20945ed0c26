"""Prints the right text and then loops in an exit handler."""
# kind: stdin
# verdicts: TLE
# limits: {"cpu_s": 0.3}

import atexit
import itertools

atexit.register(lambda: sum(itertools.repeat(0)))
print("right", flush=True)
