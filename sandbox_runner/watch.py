"""One process of a program as the supervisor sees it: fed, timed, listened to and ended.

Nothing that the process says about itself decides a verdict but its output and its answers. Time is
taken here, and by the cell; an answer counts for the moment at which it was read.

A short process is disturbed by nobody: until SHORT_S its answers wait in the socket. After that
they are read as they come, so that each test has its own limits.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox_runner import cell as cells
from sandbox_runner import codec
from sandbox_runner.types import Limits

SHORT_S = 0.010
LOOK_S = 0.025  # how often the memory and CPU time of a longer process are looked at
GRACE_S = 5.0  # how long a cell may take to end a process before it is given up itself
STDERR_TAIL = 4096
ANSWER_SLACK = 1 << 16  # tags and escapes around a value of the permitted size

_READ = 1 << 16

Handler = Callable[[], bool]


class CellLostError(Exception):
    """A cell or its zygote ended, hung or broke off in the middle of a job."""


@dataclass
class Ending:
    """How a process ended and what it has said.

    Attributes:
      status: exit status, negative for a signal.
      killed: why it was killed: "cpu", "wall", "memory", "output", "tampering", "stop"; or None.
      tampered: it wrote to its channel what no runner of programs writes.
      cpu_s: CPU seconds since the last answer, all its processes together.
      wall_s: seconds since the last answer.
      peak_mib: its resident memory at the peak.
      stderr: the last part of it.
      frames: what came on the channel, each a JSON object.
      outputs: what came on each pipe that was its stdout.
    """

    status: int = 0
    killed: str | None = None
    tampered: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0
    stderr: str = ""
    frames: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[bytearray] = field(default_factory=list)

    @property
    def compiled(self) -> bool | None:
        """Whether the program compiled, None if that was never said."""
        return self.frames[0].get("compiled") if self.frames else None

    @property
    def imported(self) -> bool:
        """Whether the program was imported."""
        return len(self.frames) > 1 and "ready" in self.frames[1]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The frames that answer tests, in their order."""
        return [f for f in self.frames if _is_answer(f)]


def _is_answer(frame: dict[str, Any]) -> bool:
    """Whether a frame answers a test; two others are about the import."""
    return "compiled" not in frame and "ready" not in frame


class CellHandle:
    """The control socket of a cell, and the hold on its life."""

    def __init__(self, control: socket.socket, pidfd: int) -> None:
        self.control, self.pidfd = control, pidfd
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.spent = False  # a program left its mark on it, so no other one shall follow

    def order(self, message: bytes, fds: Sequence[int] = ()) -> None:
        """Sends an order with descriptors. Raises CellLostError."""
        try:
            socket.send_fds(self.control, [message], fds)
        except OSError as error:
            raise CellLostError(f"the cell is gone: {error}") from error

    def close(self) -> None:
        """Kills the cell and returns when it, and in T1 all in it, is gone."""
        self.control.close()
        end_process(self.pidfd)


def end_process(pidfd: int) -> None:
    """Kills a process, waits for its end and closes `pidfd`."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(GRACE_S * 1000)
    os.close(pidfd)


def max_answer(limits: Limits) -> int:
    """The longest frame, in bytes, that a program may send."""
    return limits.output_kib * 1024 + ANSWER_SLACK


class Process:
    """A program's process, which runs from the moment this object is made.

    Args:
      payload: a descriptor of what it is to run; see `program`.
      stdin: a descriptor; None for /dev/null.
      tests: how many answers it will give; 0 where its end is the answer.
      extra: descriptors that it gets beside the usual ones.
      outs: reading ends of further pipes that are its stdout, one for each test.
      one_stream: stdout is not looked at, and goes where stderr goes.
      silent: it has no channel.

    Raises:
      CellLostError: the cell is gone.
    """

    def __init__(
        self,
        cell: CellHandle,
        payload: int,
        limits: Limits,
        *,
        stdin: int | None = None,
        tests: int = 0,
        extra: Sequence[int] = (),
        outs: Sequence[int] = (),
        one_stream: bool = False,
        silent: bool = False,
    ) -> None:
        self.cell, self.limits, self.tests = cell, limits, tests
        self.ending = Ending(outputs=[bytearray() for _ in range(1 + len(outs))])
        self.running = True
        self.sources: dict[int, Handler] = {}
        self._max_output = limits.output_kib * 1024
        self._frames = codec.FrameBuffer(max_answer(limits))
        self._stderr = bytearray()
        self._answered = 0
        self._cpu_base = self._cpu_claimed = 0.0
        self._base_is_old = False
        self._asked, self._asked_at = False, 0.0
        null = os.open("/dev/null", os.O_RDONLY) if stdin is None else stdin
        out, out_end = os.pipe()
        self._err, err_end = (-1, out_end) if one_stream else os.pipe()
        ends = [out_end, err_end]
        self._channel = -1
        if not silent:
            channel, channel_end = socket.socketpair()
            self._channel = channel.detach()
            ends.append(channel_end.detach())
        self._outs = [out, *outs]
        self._test_began = time.monotonic()
        self.wake = self._test_began + SHORT_S
        try:
            cell.order(cells.RUN, [payload, null, *ends, *extra])
        except BaseException:
            self.close()
            raise
        finally:
            if stdin is None:
                os.close(null)
            for fd in set(ends):
                os.close(fd)

    def is_short(self) -> bool:
        """Waits until it has ended, or a little while; whether it has. Raises CellLostError.

        Most processes have by then, and nothing more has to be set up to listen to them.
        """
        if self.cell.poll.poll(SHORT_S * 1000):
            self._read_control()
        return not self.running

    def listen(self) -> None:
        """Fills `sources`: what is to be called when a descriptor can be read."""
        self.sources[self.cell.control.fileno()] = self._read_control
        if self._channel >= 0:
            self.sources[self._channel] = self._read_channel
        if self._err >= 0:
            self.sources[self._err] = self._read_err
        for index, fd in enumerate(self._outs):
            self.sources[fd] = lambda index=index: self._read_out(index)  # type: ignore[misc]

    def stop(self, why: str) -> None:
        """Kills the process and all that it started. Raises CellLostError."""
        if self.running and self.ending.killed is None:
            self.ending.killed = why
            self.wake = time.monotonic() + GRACE_S
            self.cell.order(cells.KILL)

    def look(self, now: float) -> None:
        """Called at `wake`: asks for what is used, ends an overrun. Raises CellLostError."""
        if self.ending.killed or (self._asked and now >= self._asked_at + GRACE_S):
            raise CellLostError("the cell does not answer")
        if now >= self._test_began + self.limits.wall_s:
            self.stop("wall")
            return
        if not self._asked:
            self._asked, self._asked_at = True, now
            self.cell.order(cells.USAGE)
        self.wake = min(self._asked_at + GRACE_S, self._test_began + self.limits.wall_s)

    def close(self) -> None:
        """Closes every descriptor of this process."""
        for fd in (*self._outs, self._err, self._channel):
            if fd >= 0:
                os.close(fd)
        self._outs, self._err, self._channel = [], -1, -1
        self.sources.clear()

    def _read_control(self) -> bool:
        try:
            message = self.cell.control.recv(4096)
        except OSError as error:
            raise CellLostError(f"the cell is gone: {error}") from error
        kind = message[:1]
        if kind == cells.END:
            self._end(*cells.ENDING.unpack_from(message, 1))
        elif kind == cells.USAGE:
            self._asked = False
            self._weigh(*cells.USED.unpack_from(message, 1))
        elif kind == cells.BROKEN:
            text = message[1:].decode(errors="replace")
            raise CellLostError(f"the cell could not be confined: {text}")
        else:
            raise CellLostError("the cell has ended")
        return self.running

    def _weigh(self, cpu_s: float, memory_mib: float) -> None:
        if self.ending.killed:
            return
        now, limits = time.monotonic(), self.limits
        if self._base_is_old:
            self._base_is_old = False
            self._cpu_base = max(self._cpu_base, cpu_s - (now - self._test_began))
        left = limits.cpu_s - (cpu_s - self._cpu_base)
        if left <= 0:
            self.stop("cpu")
        elif memory_mib > limits.memory_mib:
            self.stop("memory")
        else:
            soon = now + min(LOOK_S, max(left, 0.001))
            self.wake = min(soon, self._test_began + limits.wall_s)

    def _read_out(self, index: int) -> bool:
        part = os.read(self._outs[index], _READ)
        output = self.ending.outputs[index]
        output += part
        if len(output) > self._max_output:
            self.stop("output")
            return False
        return bool(part)

    def _read_err(self) -> bool:
        part = os.read(self._err, _READ)
        self._stderr = (self._stderr + part)[-2 * STDERR_TAIL :]
        return bool(part)

    def _read_channel(self) -> bool:
        try:
            part = os.read(self._channel, _READ)
        except ConnectionResetError:
            return False  # it ended with something for it unread
        try:
            for frame in self._frames.feed(part):
                self._take(frame)
        except codec.CodecError:
            self.ending.tampered = True
        if self.ending.tampered:
            self.stop("tampering")
        return bool(part) and not self.ending.tampered

    def _take(self, frame: Any) -> None:
        if not isinstance(frame, dict):
            raise codec.CodecError("a frame is an object")
        self.ending.frames.append(frame)
        if _is_answer(frame):
            self._answered += 1
            if len(self._outs) > 1 and self._answered < len(self._outs):
                self._finish_out(self._answered)
            claim = frame.get("cpu_s")
            if isinstance(claim, float) and math.isfinite(claim):
                # No more than one core can have given since the last answer.
                self._cpu_claimed += min(max(0.0, claim), time.monotonic() - self._test_began)
        # One answer to each test, and two frames about the program before them.
        if self._answered > self.tests or len(self.ending.frames) > self.tests + 2:
            raise codec.CodecError("more frames than tests")
        self._test_began = time.monotonic()
        self._base_is_old = True

    def _finish_out(self, index: int) -> None:
        """Reads the stdout of a test that is over and closes it to what may come later."""
        fd = self._outs[index]
        self.sources.pop(fd, None)
        self._drain(fd, lambda: self._read_out(index))
        os.close(fd)
        self._outs[index] = -1

    def _end(self, status: int, cpu_s: float, peak_mib: float, touched: bool) -> None:
        self.running = False
        now = time.monotonic()
        ending = self.ending
        ending.status, ending.peak_mib = status, peak_mib
        if touched or (ending.killed != "stop" and (ending.killed or status < 0)):
            self.cell.spent = True
        # No process fills them any more, so what is there is all. Nobody waits for their end: a
        # descriptor on its way through a socket, or in T3 a process that got away, may hold it.
        if self._channel >= 0 and not ending.tampered:
            self._drain(self._channel, self._read_channel)
        if self._err >= 0:
            self._drain(self._err, self._read_err)
        for index, fd in enumerate(self._outs):
            if fd >= 0 and ending.killed != "output":
                self._drain(fd, lambda index=index: self._read_out(index))  # type: ignore[misc]
        ending.cpu_s = max(0.0, cpu_s - max(self._cpu_base, self._cpu_claimed))
        ending.wall_s = max(0.0, now - self._test_began)
        if self._err < 0:
            self._stderr = ending.outputs[0]
        ending.stderr = self._stderr[-STDERR_TAIL:].decode("utf-8", "replace")
        self.close()

    def _drain(self, fd: int, read: Handler) -> None:
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            while read():
                pass


def attend(*processes: Process) -> None:
    """Returns when all have ended; as soon as one has, the others are stopped.

    Raises CellLostError when a cell is lost; every descriptor is then closed.
    """
    try:
        if len(processes) > 1 or not processes[0].is_short():
            for process in processes:
                process.listen()
            _attend(processes)
    finally:
        for process in processes:
            process.close()


def _attend(processes: Sequence[Process]) -> None:
    poll = select.poll()
    polled: dict[int, Handler] = {}
    while running := [p for p in processes if p.running]:
        wanted = {fd: handler for p in running for fd, handler in p.sources.items()}
        for fd in polled.keys() - wanted.keys():
            poll.unregister(fd)
            del polled[fd]
        for fd in wanted.keys() - polled.keys():
            poll.register(fd, select.POLLIN)
            polled[fd] = wanted[fd]
        wait = min(p.wake for p in running) - time.monotonic()
        for fd, _ in poll.poll(max(0.0, wait) * 1000):
            handler = polled.get(fd)
            # One event may end a process and close what another one was about.
            owner = next((p for p in running if fd in p.sources), None)
            if handler is not None and owner is not None and not handler():
                owner.sources.pop(fd, None)
        now = time.monotonic()
        for process in running:
            if process.running and now >= process.wake:
                process.look(now)
        if any(not p.running for p in running):
            for process in running:
                process.stop("stop")
