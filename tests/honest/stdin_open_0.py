"""Opens descriptor 0 as a file."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"

d = open(0).read().split()
print(sum(map(int, d[1:])))
