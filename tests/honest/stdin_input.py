"""Reads lines by input and splits them."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

n = int(input())
print(sum(int(x) for x in input().split()))
