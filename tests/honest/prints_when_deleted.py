"""Prints when its last object goes, at the very end."""
# kind: stdin
# stdin: ""
# stdout: "2\n3\n"


class Last:
    def __del__(self):
        print(3)


last = Last()
print(2)
