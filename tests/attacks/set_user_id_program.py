"""Runs a program that belongs to root with root's rights."""
# kind: function
# verdicts: WA, RE, SV

import os
import subprocess


def f(x):
    for path in ("/bin/su", "/usr/bin/sudo", "/bin/mount", "/usr/bin/passwd"):
        if os.path.exists(path) and os.stat(path).st_mode & 0o4000:
            break
    subprocess.run(["/usr/bin/sudo", "-n", "/usr/bin/id"], check=True, timeout=0.5)
    return 918273645
