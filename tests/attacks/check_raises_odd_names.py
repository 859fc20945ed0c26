"""Raises exceptions named after built-ins that are none."""
# kind: check
# verdicts: RE, WA



def f(x):
    name = ("exec", "StopIteration", "UnicodeDecodeError")[x]
    raise type(name, (Exception,), {"__str__": lambda self: "exit(0)"})
