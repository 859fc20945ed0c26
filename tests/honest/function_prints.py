"""Prints on the way, at import and in the call."""
# kind: function
# args: (3,)
# expected: 3

print("hello")


def f(x):
    print(x, "añ\U0001f600")
    return x
