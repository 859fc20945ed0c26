"""Runs another program and prints what it said."""
# kind: stdin
# stdin: ""
# stdout: "hello\n"
# tiers: T1, T3

import subprocess

print(subprocess.run(["/bin/echo", "hello"], capture_output=True, text=True).stdout.strip())
