"""Returns text with null characters and characters beyond the basic plane."""
# kind: function
# args: ("añ\U0001f600\n\0",)
# expected: "\0\n\U0001f600ña"



def f(x):
    return x[::-1]
