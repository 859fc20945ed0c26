"""The first process of a cell: forks programs, ends them, and never looks at what they are.

What a program is given and what it says goes past the cell, over descriptors that the supervisor
sends along with each order. So nothing of one program stays in the memory from which the next one
is forked. A cell is used again only while its programs leave it as they found it: it reports when
a process was left behind or the scratch directory was touched, and is then replaced.

Orders on the SOCK_SEQPACKET control socket, each one message:
  RUN, with descriptors (payload, stdin, stdout, stderr, channel, …): start a program;
  USAGE: answered by USAGE + USED;
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
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from sandbox_runner import jail, linux, program, warm

RUN, USAGE, KILL, END, BROKEN = b"R", b"U", b"K", b"E", b"B"
ENDING = struct.Struct("<idd?")  # exit status, CPU seconds, MiB at the peak, is the cell touched
USED = struct.Struct("<dd")  # CPU seconds, MiB of memory
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
        if message != RUN:
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
        pid = _fork()
        if pid == 0:
            _become_program(payload, channels, own, confine)
        pidfd = _pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
        _watch(control, cell, poll, pid, pidfd)
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
            usage.ru_utime + usage.ru_stime + others_cpu_s,
            usage.ru_maxrss / 1024,
            others or _is_touched(cell, made),
        )
        control.send(END + ending)


def _watch(
    control: socket.socket, cell: jail.Cell, poll: select.poll, pid: int, pidfd: int
) -> None:
    """Returns when the program has ended; carries out the orders about it until then."""
    while (pidfd, select.POLLIN) not in poll.poll():
        order = control.recv(64)
        if order == USAGE:
            control.send(USAGE + USED.pack(*jail.usage(cell, pid)))
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            if not order:  # the supervisor is gone
                raise BrokenPipeError


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
_program_main = program.main
_CONTROL_SPACE = socket.CMSG_LEN(MAX_DESCRIPTORS * 4)
_CLOSE_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    # socket.recv_fds would ignore the flag that keeps descriptors from programs that are executed.
    message, ancillary, _, _ = control.recvmsg(64, _CONTROL_SPACE, _CLOSE_ON_EXEC)
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    return message, list(fds)
