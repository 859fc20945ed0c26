"""Lets another program write to the stdout that both have."""
# kind: stdin
# stdin: ""
# stdout: "before\nbetween\nafter\n"
# tiers: T1, T3

import subprocess

print("before", flush=True)
subprocess.run("echo between", shell=True, check=True)
print("after")
