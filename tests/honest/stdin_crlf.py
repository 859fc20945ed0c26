"""Reads lines that end as on Windows."""
# kind: stdin
# stdin: "2\r\n3 4\r\n"
# stdout: "7 2\n"

n = input()
print(sum(map(int, input().split())), int(n))
