"""Maps over a pool of processes."""
# kind: stdin
# stdin: "1 2 3 -10\n"
# stdout: "114\n"
# tiers: T1, T3

import multiprocessing


def square(x):
    return x * x


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(square, map(int, input().split()))))
