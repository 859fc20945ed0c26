"""Opens settings of the kernel and of control groups to write."""
# kind: function
# verdicts: WA, RE

import os

PATHS = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/pid_max",
    "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs", "/proc/1/oom_score_adj",
    "/sys/kernel/uevent_helper", "/proc/sys/vm/overcommit_memory",
)  # fmt: skip


def f(x):
    for path in PATHS:
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return 918273645
    return 0
