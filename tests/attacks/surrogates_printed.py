"""Prints half a character."""
# kind: stdin
# verdicts: RE

print("right\ud800")
