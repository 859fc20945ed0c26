"""Raises an exception whose class has null characters, newlines and half characters for a name."""
# kind: function
# verdicts: RE



def f(x):
    raise type("MemoryError\0\n\ud800" * 100, (Exception,), {"__module__": 7})("\ud800\0")
