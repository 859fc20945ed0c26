"""Prints 200 MB in large parts."""
# kind: stdin
# verdicts: OLE

for _ in range(200):
    print("x" * 1_000_000)
