"""Asks for its input with a prompt, which goes to stdout."""
# kind: stdin
# stdin: "5\n"
# stdout: "n? 25\n"

n = int(input("n? "))
print(n * n)
