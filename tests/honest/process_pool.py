"""Uses the process pool of concurrent.futures."""
# kind: stdin
# stdin: "3 4\n"
# stdout: "5.0\n"
# tiers: T1, T3

import math
from concurrent.futures import ProcessPoolExecutor

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        print(pool.submit(math.hypot, *map(int, input().split())).result())
