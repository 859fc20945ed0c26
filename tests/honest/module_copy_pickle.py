"""Copies deeply and pickles objects of its own class."""
# kind: function
# args: (3,)
# expected: [3, 4, True]

import copy
import pickle


class A:
    def __init__(self, x):
        self.x = [x]


def f(x):
    a = A(x)
    b = copy.deepcopy(a)
    b.x[0] += 1
    return [pickle.loads(pickle.dumps(a)).x[0], b.x[0], a.x == [x]]
