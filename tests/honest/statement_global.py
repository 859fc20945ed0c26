"""Changes a global name in a function."""
# kind: stdin
# stdin: "1 2 3\n"
# stdout: "6\n"

total = 0


def add(x):
    global total
    total += x


for x in input().split():
    add(int(x))
print(total)
