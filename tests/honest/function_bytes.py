"""Returns bytes."""
# kind: function
# args: ([1, 255],)
# expected: b"\x01\xff"



def f(x):
    return bytes(x)
