"""Returns nothing."""
# kind: function
# args: (1,)
# expected: None



def f(x):
    pass
