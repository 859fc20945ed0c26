"""Lets every audited action of the harness fail, its end included."""
# kind: function
# verdicts: WA, RE

import sys


def refuse(event, args):
    raise RuntimeError


sys.addaudithook(refuse)


def f(x):
    return 0
