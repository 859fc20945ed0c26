"""Reads files of the machine that no program needs."""
# kind: function
# verdicts: WA, RE
# tiers: T1, T2

import os

PATHS = (
    "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/ssh/ssh_host_rsa_key",
    "/root/.bashrc", "/root/.ssh", "/var/log", "/var/lib", "/proc/kcore", "/proc/kmsg", "/dev/kmsg",
    "/dev/mem", "/dev/sda", "/dev/vda", "/sys/kernel", "/boot", "/run/secrets",
    "/var/run/secrets/kubernetes.io", "/work", "/home",
)  # fmt: skip


def f(x):
    for path in PATHS:
        try:
            os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
        except OSError:
            continue
        if os.path.exists(path):
            return 918273645
    return 0
