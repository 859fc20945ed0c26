"""Opens /dev/stdin by name."""
# kind: stdin
# stdin: "4\n1 2 3 -10\n"
# stdout: "-4\n"
# tiers: T1, T3

d = open("/dev/stdin").read().split()
print(sum(map(int, d[1:])))
