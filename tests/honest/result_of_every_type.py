"""Returns every kind of plain data."""
# kind: function
# args: (1,)
# expected-python: (1, [1.5, None, True], {1}, frozenset({2}), b"\x00\xff", 2j, {1: "a", (2, 3): None})



def f(x):
    return x, [1.5, None, True], {x}, frozenset({2}), b"\x00\xff", 2j, {1: "a", (2, 3): None}
