"""Prints what only looks right on a terminal."""
# kind: stdin
# verdicts: WA

print("wrong\b\b\b\b\bright\x1b[2K\rright")
