"""Fills shared memory in children that end, and keeps it alive through descriptors."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1, T2

import mmap
import os


def f(x):
    held = 0
    for i in range(60):
        try:
            fd = os.open("/dev/zero", os.O_RDWR)
            area = mmap.mmap(fd, 10 << 20)
            area.write(b"x" * (10 << 20))
            if os.path.exists("/proc/self/map_files"):
                for name in os.listdir("/proc/self/map_files"):
                    if "zero" in os.readlink(f"/proc/self/map_files/{name}"):
                        os.open(f"/proc/self/map_files/{name}", os.O_RDWR)
            area.close()
            held = len(os.listdir("/proc/self/fd")) - 60
        except (OSError, MemoryError):
            break
    return 918273645 if held > 50 else 0
