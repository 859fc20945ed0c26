"""Defines its entry point by a lambda expression."""
# kind: function
# args: (3,)
# expected: 3

f = lambda x: x
