"""Raises exceptions that end a program, under the names of others."""
# kind: check
# verdicts: RE, WA



class AssertionError(SystemExit):
    pass


def f(x):
    raise AssertionError(0)
