"""Finds out that a list is too large, and does without."""
# kind: function
# args: (1,)
# expected: "smaller"



def f(x):
    try:
        return len(bytearray(1 << 40))
    except MemoryError:
        return "smaller"
