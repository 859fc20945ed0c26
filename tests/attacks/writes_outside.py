"""Makes files outside its scratch directory."""
# kind: function
# verdicts: WA, RE

import os
import sysconfig

FOLDERS = (
    "/", "/usr", "/usr/lib", "/usr/local/bin", "/etc", "/etc/cron.d", "/dev", "/var", "/run", "/srv",
    "/opt", "/root", "/mnt", "/proc", "/sys/fs/cgroup", os.path.dirname(os.__file__),
    sysconfig.get_path("purelib"),
)  # fmt: skip


def f(x):
    for folder in FOLDERS:
        for name in ("sandbox-left-behind.pth", "sandbox_left_behind.py"):
            try:
                open(f"{folder}/{name}", "x").close()
            except OSError:
                continue
            os.unlink(f"{folder}/{name}")
            return 918273645
    return 0
