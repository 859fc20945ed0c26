"""Draws random numbers, with and without a seed."""
# kind: function
# args: (7,)
# expected: True

import os
import random
import secrets


def f(x):
    random.seed(x)
    first = [random.random() for _ in range(3)]
    random.seed(x)
    same = first == [random.random() for _ in range(3)]
    return same and len(os.urandom(4)) == 4 and secrets.randbelow(9) < 9
