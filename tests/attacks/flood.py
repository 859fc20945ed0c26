"""Prints the right text five million times."""
# kind: stdin
# verdicts: OLE

for _ in range(5_000_000):
    print("right")
