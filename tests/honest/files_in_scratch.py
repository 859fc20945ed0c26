"""Writes files in its working directory and reads them again."""
# kind: stdin
# stdin: "1 2 3\n"
# stdout: "6 1\n"

import pathlib

with open("x.txt", "w") as file:
    file.write(input())
pathlib.Path("d/e").mkdir(parents=True)
pathlib.Path("d/e/y").write_text("1")
print(sum(map(int, open("x.txt").read().split())), pathlib.Path("d/e/y").read_text())
