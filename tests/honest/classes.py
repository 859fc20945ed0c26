"""Uses inheritance, properties, slots, operators and a metaclass."""
# kind: function
# args: (3,)
# expected: [5.0, "P(3, 4)", ["P"], "no x"]

import abc
import functools


class Registry(type):
    names = []

    def __new__(cls, name, bases, space):
        Registry.names.append(name)
        return super().__new__(cls, name, bases, space)


@functools.total_ordering
class P(metaclass=Registry):
    __slots__ = ("_x", "y")

    def __init__(self, x, y):
        self._x, self.y = x, y

    @property
    def x(self):
        return self._x

    def __abs__(self):
        return (self.x**2 + self.y**2) ** 0.5

    def __eq__(self, other):
        return abs(self) == abs(other)

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __repr__(self):
        return f"P({self.x}, {self.y})"


class Base(abc.ABC):
    @abc.abstractmethod
    def g(self): ...


def f(x):
    a, b = P(x, 4), P(1, 1)
    try:
        a.x = 2
        word = "x"
    except AttributeError:
        word = "no x"
    return [abs(max(a, b)), repr(a), Registry.names, word]
