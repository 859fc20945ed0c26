"""Reads address 0."""
# kind: function
# verdicts: RE

import ctypes


def f(x):
    return ctypes.string_at(0)
