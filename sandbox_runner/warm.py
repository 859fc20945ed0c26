"""What programs find imported, and where the memory that they write to lies.

A program is forked, and copies each page that it writes to, at a microsecond or two. So what is
written by every program should lie together: the objects of this package, which are counted and
whose look-ups are cached in them, and the free memory from which a program's own objects are made.
After the imports of a standard library free memory lies in holes all over, and each of a program's
first few hundred objects would cost a page. Filling them saves one in seven.
"""

from __future__ import annotations

import importlib
import marshal
import os
import sys
from collections.abc import Callable

# Programs are forks of the process that calls `up` and find these imported. Each costs every fork
# some time; statistics, decimal or hashlib would double it.
WARM = (
    *("bisect", "collections", "functools", "heapq", "itertools", "linecache", "math", "re"),
    *("string", "threading", "traceback", "typing"),
)
# What this package needs of the standard library and no program writes to.
_OURS = ("contextlib", "ctypes", "enum", "signal", "socket")

_POOL = 16 << 10  # where CPython's allocator keeps blocks of one size, aligned, after a header
_POOL_HEADER = 48
_SMALL = 512  # bytes; larger blocks are malloc's
_ALIGNMENT = 16
_BYTES = bytes.__basicsize__  # an object of this type and length 0
# Up to 1032 bytes malloc gives out what was freed to the same size only.
_LARGE = (*(1 << n for n in range(16, 10, -1)), *range(1024, _SMALL, -_ALIGNMENT))
_AT_MOST = 64 << 10  # bytes of one size, should these allocators not be the ones at work

_filling: list[object] = []

_REHEARSALS = 10  # the interpreter specializes a function after eight calls
_REHEARSED = """
import math
from collections import defaultdict
from typing import Dict, List

class Thing:
    def __init__(self, n):
        self.n = n

def f(n: int, values: List) -> Dict:
    found, total = defaultdict(list), 0
    for i, value in enumerate(values * 3):
        if i % 2 == 0 and value is not None:
            found[str(value)].append(i + n)
        total += Thing(i).n
    text = ",".join(sorted(f"{k}:{v}" for k, v in found.items()))
    return {"text": text, "total": total, "root": math.sqrt(total), "tail": [text[-2:]] * 2}
"""


def up() -> None:
    """Imports the above. To be called before the rest of this package is imported."""
    for name in (*WARM, *_OURS):
        importlib.import_module(name)
    fill_holes()


def fill_holes() -> None:
    """Takes the free blocks of every size that lie between others, for ever."""
    for size in range(_ALIGNMENT, _SMALL + 1, _ALIGNMENT):
        _fill_pools(size)
    # What fits in no hole comes from behind them all.
    end = max(id(bytes(_LARGE[0] + (n << 10))) for n in range(32))
    for size in _LARGE:
        for _ in range(_AT_MOST // size):
            block = bytes(size - _BYTES)
            if id(block) > end:
                break
            _filling.append(block)


def _fill_pools(size: int) -> None:
    for number in range(_AT_MOST // size):
        block: object = bytes(size - _BYTES) if size >= _BYTES else object()
        if size == 2 * _ALIGNMENT:
            block = (1 << 40) + number  # an int of two digits
        if id(block) % _POOL == _POOL_HEADER:
            return  # the first block of a new pool
        _filling.append(block)


def rehearse() -> None:
    """Does once, in the process that programs are forked from, what each would do.

    Code that has run is specialized, its look-ups are cached and its memory is laid out: a third of
    the pages that a short program would else have to copy.
    """
    # `up` comes before any import of these.
    import linecache

    from sandbox_runner import program

    sys.setrecursionlimit(sys.getrecursionlimit() + program.FRAMES_ABOVE)
    sys.argv[:] = [program.FILENAME]
    main_module = sys.modules["__main__"]
    for _ in range(_REHEARSALS):
        for mode in ("calls", "stdin"):
            _rehearse(program.run, mode)
    sys.modules["__main__"] = main_module
    sys.modules.pop("solution", None)
    linecache.clearcache()


def _rehearse(run: Callable[[int, list[int]], int], mode: str) -> None:
    job = {
        "mode": mode,
        "program": _REHEARSED,
        "entry_point": "f",
        "max_answer": 1 << 16,
        "tests": [[((n, ["a", 1.5]), {}), ((n, [("b", None)]), {})] for n in range(3)],
    }
    payload = os.memfd_create("rehearsal")
    os.pwrite(payload, marshal.dumps(job, 2), 0)
    channels = [os.open("/dev/null", os.O_RDWR)]
    code = os.memfd_create("code", os.MFD_ALLOW_SEALING)
    if mode == "stdin":
        run(payload, [*channels, os.dup(code)])
        run(code, [])
    else:
        run(payload, channels)
        os.close(channels[0])
        os.close(code)
