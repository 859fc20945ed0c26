"""The CPU time and the memory of a program and all processes that it started.

CPU time that a process has spent stays on the books when it ends: with its parent once that has
waited for it, as a zombie until then, with the cell where the parent is gone. The one other way, a
parent that ignores SIGCHLD, is closed by `seccomp`. Memory is what is in RAM or swapped out, a page
shared by several processes counted once; memory that belongs to no process (shared and anonymous)
is refused by `seccomp`, that of files is held by the size of the scratch file system.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import time
from collections.abc import Iterator

from sandbox_runner import linux

SCRATCH_MIB = 64
SCRATCH_NAMES = 4096

_MIB = 1 << 20
_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")
_RESIDENT = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
_MEASURE_S = 0.010  # at one look
# By how much the kernel may show too little in RAM: it counts in batches on each core.
_CORES = os.cpu_count() or 1
_LAG = _CORES * max(32, 2 * _CORES) * _PAGE
_SOCKET_MIB = 0.25  # what may wait in one: net.core.wmem_default with what the kernel adds


class Memory:
    """What the processes of a program hold, measured for a moment at each look.

    A process with tens of thousands of mappings takes as many microseconds. So those that are not
    reached are counted as they were last, and come first the next time.
    """

    def __init__(self) -> None:
        self._kib: dict[int, int] = {}
        self._next: list[int] = []

    def measured_kib(self, members: list[int]) -> int:
        """KiB of the processes with these ids, pages that they share counted once."""
        end = time.monotonic() + _MEASURE_S
        self._next = [pid for pid in self._next if pid in members] or list(members)
        while self._next and time.monotonic() < end:
            pid = self._next.pop()
            self._kib[pid] = _memory_kib(pid)
        return sum(self._kib.get(pid, 0) for pid in members)


def usage(
    tier: str, scratch: str, pid: int, memory_mib: float, memory: Memory
) -> tuple[float, float]:
    """(CPU seconds, MiB of memory) of a running program and all processes that it started.

    Infinite is a scratch directory beyond its size. The memory is not measured, and given as 0,
    where it cannot be more than `memory_mib`: RLIMIT_AS holds one process alone, and several whose
    address spaces, or what of them is in RAM, and sockets together have no room for more.
    """
    clock = linux.process_cpu_clock(pid)
    try:
        if tier == "T2":
            return time.clock_gettime(clock), _scratch_use(tier, scratch)
        members = [int(n) for n in os.listdir("/proc") if n.isdecimal() and n != "1"]
        if tier == "T3":
            members = descendants(os.getpid())
        cpu_s = time.clock_gettime(clock) + _waited_cpu(pid)
    except OSError:
        return 0.0, 0.0  # it ended meanwhile
    for member in members:
        if member != pid:
            with contextlib.suppress(OSError):
                other = linux.process_cpu_clock(member)
                cpu_s += time.clock_gettime(other) + _waited_cpu(member)
    sockets_mib = _SOCKET_MIB * _sockets() if tier == "T1" else 0.0
    if len(members) < 2 and sockets_mib < memory_mib:
        return cpu_s, _scratch_use(tier, scratch)
    sizes = [_sizes(member) for member in members]
    # One whose first thread has ended shows none, and may have all.
    room = sum(size or math.inf for size, _ in sizes)
    resident = sum(resident + _LAG if size else math.inf for size, resident in sizes)
    if min(room, resident) / _MIB + sockets_mib < memory_mib:
        return cpu_s, _scratch_use(tier, scratch)
    measured_mib = memory.measured_kib(members) / 1024
    return cpu_s, measured_mib + sockets_mib + _scratch_use(tier, scratch)


def _memory_kib(pid: int) -> int:
    """What a process holds in memory, in KiB, pages shared with others by shares; 0 if it ended."""
    with contextlib.suppress(OSError):
        # A process whose first thread has ended shows its memory at the others only.
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                found = _kib(f"/proc/{pid}/task/{task}/smaps_rollup", (b"Pss_Anon:", b"SwapPss:"))
            except OSError:
                found = 0  # it forbids to look at it, or ends
            if found := found or _kib(f"/proc/{pid}/task/{task}/status", _RESIDENT):
                return found
    return 0


def _kib(path: str, names: tuple[bytes, ...]) -> int:
    """The sum of the named lines of a file of /proc, each in KiB; 0 where one is missing."""
    with open(path, "rb") as file:
        text = file.read()
    if not all(name in text for name in names):
        return 0
    return sum(int(text.partition(name)[2].split(None, 1)[0]) for name in names)


def _sockets() -> int:
    """The sockets of this network namespace, which in T1 are those of programs alone."""
    try:
        with open("/proc/net/sockstat", "rb") as file:
            return int(file.read().split(b"used", 1)[1].split(None, 1)[0])
    except (FileNotFoundError, IndexError):
        return 0  # no /proc, or no such line


def _scratch_use(tier: str, scratch: str) -> float:
    if tier == "T1":
        return 0.0  # a file system of its own, with a size
    used, folders, names = 0, [scratch], 0
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    names += 1
                    if names > SCRATCH_NAMES:
                        return math.inf
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        used += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            pass  # removed meanwhile
        except OSError:
            return math.inf  # a path too long to be opened, or hidden: nobody knows what is in it
    return math.inf if used > SCRATCH_MIB * _MIB else 0.0


def descendants(ancestor: int) -> list[int]:
    """The live descendants of a process by /proc, parents before children."""
    children: dict[int, list[int]] = {}
    for pid, parent, _ in tasks():
        children.setdefault(parent, []).append(pid)
    found, queue = [], [ancestor]
    while queue:
        for child in children.get(queue.pop(), ()):
            found.append(child)
            queue.append(child)
    return found


def tasks(uid: int | None = None) -> Iterator[tuple[int, int, int]]:
    """(process id, parent, threads) of every process, or of those of a uid."""
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            if uid is not None and os.stat(f"/proc/{name}").st_uid != uid:
                continue
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        yield int(name), int(fields[1]), int(fields[17])


def _waited_cpu(pid: int) -> float:
    """CPU seconds of the ended children of a process, in steps of 10 ms; 0 without a /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / _TICKS


def address_space() -> int:
    """Of this process, in bytes."""
    return _sizes("self")[0]


def _sizes(pid: int | str) -> tuple[int, int]:
    """(address space, of it in RAM) in bytes; zeros for a process that has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
        size, resident = file.read().split()[:2]
        return int(size) * _PAGE, int(resident) * _PAGE
    return 0, 0
