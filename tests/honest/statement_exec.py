"""Runs code from strings."""
# kind: stdin
# stdin: "1 2 3\n"
# stdout: "6 14\n"

exec("values = [int(x) for x in input().split()]")
square = eval("lambda x: x * x")
exec(compile("print(sum(values), sum(map(square, values)))", "inner", "exec"))
