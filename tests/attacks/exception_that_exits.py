"""Raises an exception whose text ends the process with status 0."""
# kind: function
# verdicts: RE

import os


class Bad(Exception):
    def __str__(self):
        os._exit(0)


def f(x):
    raise Bad
