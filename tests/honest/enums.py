"""Uses enumerations and flags."""
# kind: function
# args: (2,)
# expected: ["GREEN", 3, [1, 2]]

import enum


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Rights(enum.IntFlag):
    R = 1
    W = 2


def f(x):
    return [Colour(x).name, int(Rights.R | Rights.W), [c.value for c in Colour]]
