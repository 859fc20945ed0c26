"""The warm server from which cells are forked: a fresh interpreter, jailed before its first job.

The supervisor starts it by exec, so nothing of the supervisor's memory is in it, and speaks to it
over a SOCK_SEQPACKET socket. Each message FORK + limits, followed by the path of a scratch
directory where the tier needs one, carries the control socket of the new cell. The answer carries a
pidfd of the cell, by which the supervisor kills it and learns that all of it is gone. READY, sent
once at the start, carries a pidfd of the zygote for the same purpose. End of file, or the end of
the thread that started it, ends the zygote and every cell.

There are two images: "lean", and "numpy" for programs that import it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import struct
import sys

from sandbox_runner import cell, jail, linux, warm

FORK = b"cell"
LIMITS = struct.Struct("<II")  # of a program: MiB of memory, processes
READY = b"ready"


def main(control_fd: int, tier: jail.Tier, packages: tuple[str, ...]) -> None:
    """Serves until the other end of `control_fd` closes. Sends READY, or why it cannot start.

    `packages` are directories of packages that are imported, and may be read by programs.
    """
    # `exit` and `quit` come from site, which -S leaves out.
    import site

    site.setquit()
    site.sethelper()
    # Whoever started the judge may have it ignored; `seccomp` then keeps programs from it.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    warm.rehearse()
    control = socket.socket(fileno=control_fd)
    linux.set_parent_death_signal(signal.SIGKILL)
    try:
        jail.enter_zygote(tier, packages)
        _import_packages(packages, tier)
    except (jail.IsolationError, OSError, ImportError) as error:
        control.send(f"error {error}".encode()[:4096])
        return
    os.environ.clear()
    os.environ.update(PATH="/usr/bin:/bin", HOME="/tmp", LANG="C.UTF-8")
    del sys.path[0]  # where this package was found; programs have no business there
    gc.collect()
    warm.fill_holes()
    gc.freeze()
    pidfd = os.pidfd_open(os.getpid())
    socket.send_fds(control, [READY], [pidfd])
    os.close(pidfd)
    while True:
        message, fds, _, _ = socket.recv_fds(control, 4096, 1)
        _reap()
        if not message:
            break
        if message.startswith(FORK) and len(fds) == 1:
            memory_mib, processes = LIMITS.unpack_from(message, len(FORK))
            scratch = os.fsdecode(message[len(FORK) + LIMITS.size :])
            _start_cell(control, fds[0], tier, scratch, memory_mib, processes, packages)
    jail.kill_all_others(tier)


def _import_packages(packages: tuple[str, ...], tier: jail.Tier) -> None:
    for path in packages:
        parent, name = os.path.split(path)
        if tier == "T1":
            parent = jail.PACKAGES
        if name.isidentifier():
            sys.path.append(parent)
            importlib.import_module(name)
            sys.path.remove(parent)


def _start_cell(
    control: socket.socket,
    channel: int,
    tier: jail.Tier,
    scratch: str,
    memory_mib: int,
    processes: int,
    packages: tuple[str, ...],
) -> None:
    try:
        pid = jail.fork_cell(tier)
    except (jail.IsolationError, OSError) as error:
        os.close(channel)
        control.send(f"error {error}".encode()[:4096])
        return
    if pid == 0:
        try:
            control.close()
            inner = socket.socket(fileno=channel)
            cell.main(inner, tier, scratch, memory_mib, processes, packages)
        finally:
            os._exit(1)
    os.close(channel)
    pidfd = os.pidfd_open(pid)
    try:
        socket.send_fds(control, [READY], [pidfd])
    finally:
        os.close(pidfd)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
