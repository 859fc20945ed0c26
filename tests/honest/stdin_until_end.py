"""Calls input until it raises EOFError."""
# kind: stdin
# stdin: "4\n1 2\n3 -10\n"
# stdout: "-4\n"

total = 0
input()
while True:
    try:
        total += sum(map(int, input().split()))
    except EOFError:
        break
print(total)
