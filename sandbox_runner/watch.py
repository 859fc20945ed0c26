"""One process of a program as the supervisor sees it: fed, listened to and ended.

Nothing that the process says about itself decides a verdict but its output and its answers. Its
limits are held by the cell, on a clock that nothing here can stop; here is a second clock, which
gives up a cell that does not answer.

Every descriptor that a program can touch is non-blocking at this end: what `poll` calls readable
may have been taken away again. A short process is disturbed by nobody: until SHORT_S its answers
wait in the pipe.

Tests that share a process are given to it in one of two ways. All at once, under one budget, which
no test can then borrow from another. Or one by one: the input of a test is written when the one
before it has been answered, and its limits begin then.
"""

from __future__ import annotations

import contextlib
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

GRACE_S = 5.0  # how long a cell may take to end a process before it is given up itself
STDERR_TAIL = 4096
ANSWER_SLACK = 1 << 16  # tags and escapes around a value of the permitted size

_READ = 1 << 16
_MOST_READS = 1 << 10  # of what is left in a pipe, which nobody should fill any more

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
      cpu_s: CPU seconds since the input of the last test was given, all its processes together.
      wall_s: seconds since then.
      peak_mib: its resident memory at the peak.
      stderr: the last part of it.
      opened: the frames about the program, before any test.
      answers: the frames that answer tests, in their order.
      begun: how many tests were given their input one by one, before it ended.
      outputs: what came on each pipe that was its stdout.
    """

    status: int = 0
    killed: str | None = None
    tampered: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0
    stderr: str = ""
    opened: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0
    outputs: list[bytearray] = field(default_factory=list)

    @property
    def compiled(self) -> bool | None:
        """Whether the program compiled, None if that was never said."""
        return self.opened[0].get("compiled") if self.opened else None

    @property
    def imported(self) -> bool:
        """Whether the program was imported."""
        return len(self.opened) > 1


class CellHandle:
    """The control socket of a cell, and the hold on its life."""

    def __init__(self, control: socket.socket, pidfd: int) -> None:
        self.control, self.pidfd = control, pidfd
        control.setblocking(False)
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
      limits: of each test that is given its input one by one, else of the whole process.
      stdin: a descriptor; None for /dev/null.
      opening: the names of the frames about the program that come before any test.
      tests: how many answers it will give; 0 where its end is the answer.
      inputs: what each test is given when its turn comes; empty where the payload has it all.
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
        opening: Sequence[str] = (),
        tests: int = 0,
        inputs: Sequence[bytes] = (),
        extra: Sequence[int] = (),
        outs: Sequence[int] = (),
        one_stream: bool = False,
        silent: bool = False,
    ) -> None:
        self.cell, self.limits = cell, limits
        self.ending = Ending(outputs=[bytearray() for _ in range(1 + len(outs))])
        self.running = True
        self.sources: dict[int, Handler] = {}
        self._opening, self._tests, self._inputs = opening, tests, inputs
        self._max_output = limits.output_kib * 1024
        self._frames = codec.FrameBuffer(max_answer(limits))
        self._stderr = bytearray()
        null = os.open("/dev/null", os.O_RDONLY) if stdin is None else stdin
        out, out_end = _pipe()
        self._err, err_end = (-1, out_end) if one_stream else _pipe()
        ends = [out_end, err_end]
        self._channel = -1
        if not silent:
            self._channel, channel_end = _pipe()
            ends.append(channel_end)
        self._outs = [out, *outs]
        for fd in outs:
            os.set_blocking(fd, False)
        # Where the next test finds its input, and the pipe that says when. The end that the
        # program reads stays open here too, so that no write meets a pipe without a reader.
        self._turns: tuple[int, ...] = ()
        if inputs:
            turn, turn_end = os.pipe()
            os.set_blocking(turn_end, False)
            self._turns = os.memfd_create("input", os.MFD_CLOEXEC), turn, turn_end
        self._test_began = time.monotonic()
        self.wake = self._test_began + limits.wall_s + GRACE_S
        order = cells.RUN + cells.LIMITS.pack(limits.cpu_s, limits.wall_s, limits.memory_mib)
        try:
            cell.order(order, [payload, null, *ends, *self._turns[:2], *extra])
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
        if not self._inputs and self.cell.poll.poll(cells.SHORT_S * 1000):
            with contextlib.suppress(BlockingIOError):
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

    def close(self) -> None:
        """Closes every descriptor of this process."""
        for fd in (*self._outs, self._err, self._channel, *self._turns):
            if fd >= 0:
                os.close(fd)
        self._outs, self._err, self._channel, self._turns = [], -1, -1, ()
        self.sources.clear()

    def _read_control(self) -> bool:
        try:
            message = self.cell.control.recv(4096)
        except BlockingIOError:
            raise
        except OSError as error:
            raise CellLostError(f"the cell is gone: {error}") from error
        kind = message[:1]
        if kind == cells.END:
            self._end(*cells.ENDING.unpack_from(message, 1))
        elif kind == cells.BROKEN:
            text = message[1:].decode(errors="replace")
            raise CellLostError(f"the cell could not be confined: {text}")
        else:
            raise CellLostError("the cell has ended")
        return self.running

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
        part = os.read(self._channel, _READ)
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
        ending = self.ending
        if len(ending.opened) < len(self._opening):
            if self._opening[len(ending.opened)] not in frame:
                raise codec.CodecError("a frame out of turn")
            ending.opened.append(frame)
            if len(ending.opened) < len(self._opening):
                return
        else:
            ending.answers.append(frame)
            answered = len(ending.answers)
            if answered > (ending.begun if self._inputs else self._tests):
                raise codec.CodecError("an answer to no test")
            if answered < len(self._outs):
                self._finish_out(answered)
        # An import that took next to nothing may count as part of the only test that follows.
        took_s = time.monotonic() - self._test_began
        if self.running and (self._inputs or (not self._tests and took_s > cells.SHORT_S)):
            self._begin_next()

    def _begin_next(self) -> None:
        """Lets the limits begin anew, and gives the next test its input."""
        index = self.ending.begun
        if self._inputs and index == len(self._inputs):
            return
        self.ending.begun += 1
        self._test_began = time.monotonic()
        self.wake = self._test_began + self.limits.wall_s + GRACE_S
        self.cell.order(cells.NEXT)
        if self._inputs:
            memory, _, turn = self._turns
            os.ftruncate(memory, 0)
            write_all(memory, self._inputs[index])
            try:
                os.write(turn, b"\n")
            except BlockingIOError:
                raise codec.CodecError("the program filled the pipe of turns") from None

    def _finish_out(self, index: int) -> None:
        """Reads the stdout of a test that is over and closes it to what may come later."""
        fd = self._outs[index]
        self.sources.pop(fd, None)
        self._drain(lambda: self._read_out(index))
        os.close(fd)
        self._outs[index] = -1

    def _end(
        self, status: int, cpu_s: float, peak_mib: float, touched: bool, killed: int, begun: int
    ) -> None:
        self.running = False
        now = time.monotonic()
        ending = self.ending
        ending.status, ending.peak_mib, ending.cpu_s = status, peak_mib, max(0.0, cpu_s)
        ending.killed = ending.killed or cells.KILLED[killed]
        if touched or (ending.killed != "stop" and (ending.killed or status < 0)):
            self.cell.spent = True
        # No process fills them any more, so what is there is all. Nobody waits for their end: a
        # descriptor on its way through a socket, or in T3 a process that got away, may hold it.
        if self._channel >= 0 and not ending.tampered:
            self._drain(self._read_channel)
        if self._err >= 0:
            self._drain(self._read_err)
        for index, fd in enumerate(self._outs):
            if fd >= 0 and ending.killed != "output":
                self._drain(lambda index=index: self._read_out(index))  # type: ignore[misc]
        if cells.KILLED[killed]:
            ending.begun = begun  # the limit that ended it was that of the test before
        ending.wall_s = max(0.0, now - self._test_began)
        if self._err < 0:
            self._stderr = ending.outputs[0]
        ending.stderr = self._stderr[-STDERR_TAIL:].decode("utf-8", "replace")
        self.close()

    def _drain(self, read: Handler) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_READS):
                if not read():
                    return


def write_all(fd: int, data: bytes) -> None:
    """Writes `data` to the beginning of a file. Raises OSError where it has no room."""
    rest, offset = memoryview(data), 0
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def _pipe() -> tuple[int, int]:
    """(reading end, writing end); nobody waits at the first."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


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
            if handler is None or owner is None:
                continue
            with contextlib.suppress(BlockingIOError):
                if not handler():
                    owner.sources.pop(fd, None)
        now = time.monotonic()
        if any(p.running and now >= p.wake for p in running):
            raise CellLostError("the cell does not answer")
        if any(not p.running for p in running):
            for process in running:
                process.stop("stop")
