"""A destructor ends the process with status 0 as soon as the result is let go."""
# kind: function
# verdicts: RE, WA

import os


class Bomb:
    def __del__(self):
        os._exit(0)


def f(x):
    return Bomb()
