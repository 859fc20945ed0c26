"""Reads a last line that no newline ends."""
# kind: stdin
# stdin: "4\n1 2 3 -10"
# stdout: "-4"

input()
print(sum(map(int, input().split())))
