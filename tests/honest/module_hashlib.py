"""Computes digests and checksums."""
# kind: function
# args: (b"abc",)
# expected: ["ba7816bf", 891568578, "YWJj"]

import base64
import hashlib
import zlib


def f(x):
    return [hashlib.sha256(x).hexdigest()[:8], zlib.crc32(x), base64.b64encode(x).decode()]
