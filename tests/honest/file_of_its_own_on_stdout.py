"""Writes through a file of its own that is never closed."""
# kind: stdin
# stdin: ""
# stdout: "3\n"

out = open(1, "w", closefd=False)
out.write("3\n")
