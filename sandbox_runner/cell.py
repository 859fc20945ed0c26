"""The first process of a cell: forks programs, ends them, and never looks at what they are.

What a program is given and what it says goes past the cell, over descriptors that the supervisor
sends along with each order. So nothing of one program stays in the memory from which the next one
is forked. A cell is used again only while its programs leave it as they found it: it reports when
a process was left behind or the scratch directory was touched, and is then replaced.

The limits of a program are held here, by a process that reads and writes nothing of the program's
and that compares nothing: whatever the supervisor is busy with, a program ends at its limit.

Orders on the SOCK_SEQPACKET control socket, each one message:
  RUN + LIMITS, with descriptors (payload, stdin, stdout, stderr, channel, …): start a program;
  NEXT: its next test begins, so CPU and wall time are counted from here;
  KILL: end the program.
When it has ended: END + ENDING. Where the cell could not be confined: BROKEN + text, once.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from sandbox_runner import accounting, jail, linux, program, warm

RUN, NEXT, KILL, END, BROKEN = b"R", b"N", b"K", b"E", b"B"
LIMITS = struct.Struct("<ddd")  # CPU seconds, wall seconds, MiB of memory
# Exit status, CPU seconds since the last NEXT, MiB at the peak, is the cell touched, which of
# KILLED, how many NEXT had come.
ENDING = struct.Struct("<idd?BI")
KILLED = (None, "cpu", "wall", "memory")
SHORT_S = 0.010  # most programs have ended by then
LOOK_S = 0.025  # how often the memory and CPU time of a longer one are looked at
MAX_DESCRIPTORS = 200  # in one message; the kernel allows 253


def main(
    control: socket.socket,
    tier: jail.Tier,
    scratch: str,
    memory_mib: int,
    processes: int,
    packages: tuple[str, ...],
) -> None:
    """Serves until the other end of `control` closes; the rest is as in `jail.enter_cell`."""
    try:
        cell = jail.enter_cell(tier, scratch, memory_mib, processes, packages)
    except (jail.IsolationError, OSError) as error:
        control.send(BROKEN + str(error).encode()[:4096])
        return
    # The first process of a PID namespace gets from within only signals that it has a handler for.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    warm.fill_holes()
    gc.freeze()
    with contextlib.suppress(BrokenPipeError):
        _serve(control, cell)


def _serve(control: socket.socket, cell: jail.Cell) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    own = (control.fileno(), nothing)
    confine = None if cell.tier == "T1" else partial(jail.isolate_program, cell.tier)
    made = os.stat(cell.scratch)
    while True:
        message, fds = _receive(control)
        if not message:
            return
        if message[:1] != RUN:
            continue  # it crossed the end of the program that it was for
        payload, stdin, stdout, stderr, *channels = fds
        # The program's three streams are laid out here, where it costs nothing; in the new process
        # every function that is called is pages to copy.
        _dup2(stdin, 0)
        _dup2(stdout, 1)
        _dup2(stderr, 2)
        _close(stdin)
        _close(stdout)
        _close(stderr)
        began = _monotonic()
        pid = _fork()
        if pid == 0:
            _become_program(payload, channels, own, confine)
        pidfd = _pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
        # Most programs have ended by then, and for those no more than this is done or written.
        cpu_base, killed, begun = 0.0, 0, 0
        if not (events := poll.poll(_SHORT_MS)) or events[0][0] != pidfd:
            clock = _Clock(cell, pid, began, *LIMITS.unpack_from(message, 1))
            _watch(control, clock, poll, pidfd, events)
            cpu_base, killed, begun = clock.cpu_base, KILLED.index(clock.over), clock.begun
        poll.unregister(pidfd)
        _close(pidfd)
        # Not before: what is written here while the program lives is pages to copy, too. The three
        # are never closed, or the next descriptors would come to lie there.
        _dup2(nothing, 0)
        _dup2(nothing, 1)
        _dup2(nothing, 2)
        _close(payload)
        for fd in channels:
            _close(fd)
        _, status, usage = _wait4(pid, 0)
        others_cpu_s, others = jail.kill_all_others(cell.tier)
        ending = ENDING.pack(
            os.waitstatus_to_exitcode(status),
            usage.ru_utime + usage.ru_stime + others_cpu_s - cpu_base,
            usage.ru_maxrss / 1024,
            others or _is_touched(cell, made),
            killed,
            begun,
        )
        control.send(END + ending)


class _Clock:
    """The limits of a program, and what it has used of them since its last test began.

    Attributes:
      over: the limit that was exceeded.
      begun: tests that have begun by NEXT.
    """

    def __init__(
        self,
        cell: jail.Cell,
        pid: int,
        began: float,
        cpu_s: float,
        wall_s: float,
        memory_mib: float,
    ) -> None:
        self.cell, self.pid, self.began = cell, pid, began
        self.cpu_s, self.wall_s, self.memory_mib = cpu_s, wall_s, memory_mib
        self.over: str | None = None
        self.cpu_base, self.begun, self.memory = 0.0, 0, accounting.Memory()

    def _used(self) -> tuple[float, float]:
        return accounting.usage(*self.cell, self.pid, self.memory_mib, self.memory)

    def next(self) -> None:
        """A test begins."""
        cpu_s, memory_mib = self._used()
        self.began, self.cpu_base = _monotonic(), max(cpu_s, self.cpu_base)
        self.begun += 1
        if memory_mib > self.memory_mib:
            self.over = "memory"

    def look(self) -> float:
        """Sets `over` if it is time; else the seconds after which to look again."""
        cpu_s, memory_mib = self._used()
        cpu_left = self.cpu_s - (cpu_s - self.cpu_base)
        wall_left = self.wall_s - (_monotonic() - self.began)
        if cpu_left <= 0:
            self.over = "cpu"
        elif wall_left <= 0:
            self.over = "wall"
        elif memory_mib > self.memory_mib:
            self.over = "memory"
        return max(0.001, min(LOOK_S, cpu_left, wall_left))


def _watch(
    control: socket.socket,
    clock: _Clock,
    poll: select.poll,
    pidfd: int,
    events: list[tuple[int, int]],
) -> None:
    """Returns when the program has ended; holds its limits and obeys orders until then."""
    look_at, killed = clock.began + SHORT_S, False
    while (pidfd, select.POLLIN) not in events:
        order = control.recv(64) if events else None
        if order == NEXT:
            clock.next()
        if not killed and _monotonic() >= look_at:
            look_at = _monotonic() + clock.look()
        if clock.over or order not in (None, NEXT):
            killed = True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if order == b"":
            raise BrokenPipeError("the supervisor is gone")
        events = poll.poll(None if killed else max(0.0, look_at - _monotonic()) * 1000)


def _is_touched(cell: jail.Cell, made: os.stat_result) -> bool:
    """Whether anything was made, changed or left in the scratch directory since it was `made`."""
    state = os.stat(cell.scratch)
    if state.st_ctime_ns != made.st_ctime_ns:
        return True
    # Older kernels keep time too coarsely to tell a change from the mount itself. A tmpfs has the
    # number of names as the size of the directory.
    return state.st_size != made.st_size if cell.tier == "T1" else bool(os.listdir(cell.scratch))


def _become_program(
    payload: int, channels: list[int], own: tuple[int, ...], confine: Callable[[], None] | None
) -> NoReturn:
    # Nothing may unwind into the cell's own code in this process.
    try:
        for fd in own:
            _close(fd)
        if confine is not None:
            confine()
        _program_main(payload, channels)
    except BaseException as error:  # noqa: BLE001 (shown as the program's own)
        os.write(2, program.exception_text(error).encode("utf-8", "backslashreplace"))
    finally:
        os._exit(1)


# Names of this module, which lead a new process to fewer pages than those of another.
_close, _dup2, _fork, _pidfd_open, _wait4 = os.close, os.dup2, linux.fork, os.pidfd_open, os.wait4
_program_main, _monotonic = program.main, time.monotonic
_SHORT_MS = SHORT_S * 1000
_CONTROL_SPACE = socket.CMSG_LEN(MAX_DESCRIPTORS * 4)
_CLOSE_ON_EXEC, _TRUNCATED = int(socket.MSG_CMSG_CLOEXEC), int(socket.MSG_CTRUNC)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    # socket.recv_fds would ignore the flag that keeps descriptors from programs that are executed.
    message, ancillary, flags, _ = control.recvmsg(64, _CONTROL_SPACE, _CLOSE_ON_EXEC)
    if flags & _TRUNCATED:
        control.send(BROKEN + b"its limit of open files is too low for the tests of a batch")
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    return message, list(fds)
