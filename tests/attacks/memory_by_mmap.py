"""Maps a gigabyte of private memory."""
# kind: function
# verdicts: MLE, RE

import mmap


def f(x):
    areas = [mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE) for _ in range(64)]
    return 918273645 if areas else 0
