"""Writes a module into its working directory and imports it."""
# kind: function
# args: (3,)
# expected: 9

import os
import sys


def f(x):
    with open("helper.py", "w") as file:
        file.write("def square(x): return x * x\n")
    sys.path.insert(0, os.getcwd())
    import helper

    return helper.square(x)
