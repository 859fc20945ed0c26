"""Returns a view of a dict's keys, which is equal to a set."""
# kind: function
# args: (1,)
# expected: {1}



def f(x):
    return {x: 1}.keys()
