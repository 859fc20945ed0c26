"""Defines its entry point as an object that can be called."""
# kind: function
# args: (3,)
# expected: 3



class F:
    def __call__(self, x):
        return x


f = F()
