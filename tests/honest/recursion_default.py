"""Recurses as deep as the interpreter lets it by default."""
# kind: stdin
# stdin: ""
# stdout: "985\n"



def down(n):
    return 0 if n == 0 else 1 + down(n - 1)


print(down(985))
