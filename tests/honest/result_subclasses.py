"""Returns values of classes that are derived from plain ones and equal to them."""
# kind: function
# args: (1,)
# expected: [2, "green", 3, (1, 2), [1], {"a": 1}, b"ab", {4}, 2.5, 0.5]

import enum
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction


class Colour(enum.IntEnum):
    GREEN = 2


class Name(enum.StrEnum):
    GREEN = "green"


class Rights(enum.IntFlag):
    R = 1
    W = 2


class Point(namedtuple("Point", "x y")):
    @property
    def norm(self):
        return abs(self.x) + abs(self.y)


class Numbers(list):
    pass


class Row(dict):
    def __getattr__(self, name):
        return self[name]


class Group(set):
    pass


def f(x):
    return [
        Colour.GREEN,
        Name.GREEN,
        Rights.R | Rights.W,
        Point(x, 2),
        Numbers([x]),
        Row(a=x),
        bytearray(b"ab"),
        Group({4}),
        Decimal("2.5"),
        Fraction(x, 2),
    ]
