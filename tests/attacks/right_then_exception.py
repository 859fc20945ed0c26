"""Prints the right text and then fails."""
# kind: stdin
# verdicts: RE

print("right")
raise ValueError
