"""Lets forked children look at a list of ninety megabytes, which is in memory once."""
# kind: stdin
# stdin: "4\n"
# stdout: "92274688\n"
# limits: {"memory_mib": 256, "wall_s": 10.0, "cpu_s": 5.0}
# tiers: T1

import multiprocessing
import time

data = bytearray(b"\1") * (88 << 20)


def count(part):
    first, last = part
    time.sleep(0.3)
    return data[first:last].count(1)


if __name__ == "__main__":
    n = int(input())
    size = len(data) // n
    with multiprocessing.get_context("fork").Pool(n) as pool:
        print(sum(pool.map(count, [(i * size, (i + 1) * size) for i in range(n)])))
