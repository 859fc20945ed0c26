"""Raises a subclass of SystemExit that calls itself a success."""
# kind: function
# verdicts: RE



class Done(SystemExit):
    code = 0


def f(x):
    raise Done(0)
