"""Uses a hundred megabytes."""
# kind: function
# args: (100,)
# expected: 104857600



def f(x):
    return len(bytearray(b"x") * (x << 20))
