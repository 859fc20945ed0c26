"""Leaves directories nested three thousand deep, for whoever cleans up by recursion or by path."""
# kind: function
# verdicts: WA, RE, TLE, MLE
# calls: 3

import os


def f(x):
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    return 0
