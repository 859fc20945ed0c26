"""Prints the right text and a null character."""
# kind: stdin
# verdicts: WA

print("right\0")
