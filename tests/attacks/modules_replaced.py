"""Replaces every loaded module by an object that answers everything."""
# kind: function
# verdicts: WA, RE

import sys


class Any:
    def __getattr__(self, name):
        return Any()

    def __call__(self, *args, **kwargs):
        return Any()


def f(x):
    for name in list(sys.modules):
        sys.modules[name] = Any()
    return 0
