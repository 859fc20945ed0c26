"""Reads and prints text of many scripts."""
# kind: stdin
# stdin: "añ 日本 😀\n"
# stdout: "😀 本日 ña\n7\n"

s = input()
print(s[::-1])
print(len(s))
