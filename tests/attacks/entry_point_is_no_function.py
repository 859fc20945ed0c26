"""Defines the right answer instead of a function that returns it."""
# kind: function
# verdicts: RE

f = 918273645
