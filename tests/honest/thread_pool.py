"""Maps over a pool of threads."""
# kind: stdin
# stdin: "1 2 3 -10\n"
# stdout: "-4\n"

from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(int, input().split())))
