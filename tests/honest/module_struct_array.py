"""Packs bytes, arrays and memory views."""
# kind: function
# args: ([1, 2, 258],)
# expected: [b"\x00\x01\x00\x02\x01\x02", 2, 261]

import array
import struct


def f(x):
    packed = struct.pack(">3H", *x)
    return [packed, array.array("H", x).itemsize, sum(memoryview(array.array("i", x)))]
