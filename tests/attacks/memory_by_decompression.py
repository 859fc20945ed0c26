"""Unpacks a gigabyte from a few kilobytes."""
# kind: function
# verdicts: MLE, TLE

import zlib


def f(x):
    packer = zlib.compressobj(1)
    part = bytes(1 << 24)
    data = b"".join(packer.compress(part) for _ in range(16)) + packer.flush()
    return 918273645 if zlib.decompress(data) + zlib.decompress(data) else 0
