"""Ends by quit()."""
# kind: stdin
# stdin: "1 2\n"
# stdout: "3\n"

print(sum(map(int, input().split())))
quit()
