"""Maps a gigabyte of shared memory, which belongs to no process alone."""
# kind: function
# verdicts: MLE, RE

import mmap


def f(x):
    areas = [mmap.mmap(-1, 1 << 24) for _ in range(64)]
    return 918273645 if areas else 0
