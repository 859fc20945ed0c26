"""Runs one program inside the jail, each test in a process of its own. Knows no expected output.

A cell compiles the program once and forks a child for every test, so that time, memory, files and
state are per test. It watches the child from outside: wall and CPU time, output, its end; then it
kills whatever the test left behind. What the child sends back (stdout, or an answer frame on a
pipe) it hands to the supervisor unread, together with what it measured.

Frames from the supervisor: first {"mode", "program", "entry_point", "limits", "scratch", "tests"}.
The cell answers {"compiled": true} or {"compiled": false, "error"}. By mode:
  "stdin":  tests are {"id", "input"}; one {"end": facts} for each.
  "calls":  tests are {"id", "calls": [[args, kwargs], ...]}; one {"end": facts} for each.
  "serve":  each {"start": {"id"}} runs the program, which then answers {"call": [args, kwargs]};
  "tester": each {"start": {"id", "code"}} runs test code; its calls of `candidate` are answered.
In the last two {"child": text} carries a frame of the child, {"reply": text} one for it,
{"stop": true} ends the child, and {"end": facts} says that it ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import time
import warnings
from types import CodeType
from typing import Any

from sandbox_runner import codec, jail, linux, program
from sandbox_runner.types import Limits

MAX_JOB_BYTES = 1 << 28
STDERR_TAIL = 4096
ANSWER_SLACK = 1 << 16  # tags and escapes around a value of the permitted size


def main(channel: int, tier: jail.Tier) -> None:
    """Serves the one job that arrives on `channel`; never returns to the zygote's loop."""
    try:
        job = codec.read_frame(channel, MAX_JOB_BYTES)
        scratch = jail.enter_cell(tier, job["scratch"])
    except (jail.IsolationError, OSError) as error:
        codec.write_frame(channel, {"broken": str(error)}, 1 << 20)
        return
    except EOFError:
        return
    limits = Limits(**job["limits"])
    jail.limit_cell(tier, limits)
    try:
        code = _compile(job["program"])
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        text = program.exception_text(error)
        codec.write_frame(channel, {"compiled": False, "error": text[-STDERR_TAIL:]}, 1 << 20)
        return
    codec.write_frame(channel, {"compiled": True}, 1 << 20)
    cell = _Cell(channel, tier, limits, scratch, job, code)
    with contextlib.suppress(EOFError, BrokenPipeError):
        cell.serve()


def _compile(source: str) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(source, program.FILENAME, "exec", dont_inherit=True)


class _Cell:
    def __init__(
        self,
        channel: int,
        tier: jail.Tier,
        limits: Limits,
        scratch: str,
        job: dict[str, Any],
        code: CodeType,
    ) -> None:
        self.channel, self.tier, self.limits, self.scratch = channel, tier, limits, scratch
        self.mode: str = job["mode"]
        self.source: str = job["program"]
        self.entry_point: str | None = job["entry_point"]
        self.tests: list[dict[str, Any]] = job["tests"]
        self.code = code
        self.max_answer = limits.output_kib * 1024 + ANSWER_SLACK
        gc.freeze()

    def serve(self) -> None:
        if self.mode in ("stdin", "calls"):
            for test in self.tests:
                self._run(test)
            return
        while True:
            command = codec.read_frame(self.channel, MAX_JOB_BYTES)
            # A stop may cross the end of the child that it is for.
            if "start" in command:
                self._run(command["start"])

    def _run(self, test: dict[str, Any]) -> None:
        child = _Child(self, test)
        facts = child.watch()
        facts["cpu_s"] += jail.kill_all_others(self.tier)
        child.finish(facts)
        self._wipe_scratch()
        codec.write_frame(self.channel, {"end": facts}, MAX_JOB_BYTES)

    def _wipe_scratch(self) -> None:
        if os.listdir(self.scratch):
            wipe(self.scratch)
        os.chdir(self.scratch)


class _Child:
    """A forked process that runs one test, and the cell's ends of its descriptors."""

    def __init__(self, cell: _Cell, test: dict[str, Any]) -> None:
        self.cell, self.test = cell, test
        self.duplex = cell.mode in ("serve", "tester")
        stdin = _file_of(test["input"]) if "input" in test else os.open("/dev/null", os.O_RDONLY)
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.answer, answer = os.pipe()
        replies, self.replies = os.pipe() if self.duplex else (-1, -1)
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            # Nothing may unwind into the cell's own code in this process.
            try:
                self._become_program(stdin, out, err, answer, replies)
            except BaseException as error:  # noqa: BLE001 (shown as the program's own)
                os.write(2, program.exception_text(error).encode("utf-8", "backslashreplace"))
            finally:
                os._exit(1)
        for fd in (stdin, out, err, answer, replies):
            if fd >= 0:
                os.close(fd)
        self.pidfd = os.pidfd_open(self.pid)
        self.stdout, self.stderr, self.frames = bytearray(), bytearray(), bytearray()
        self.answers = 0
        self.killed: str | None = None

    def _become_program(self, stdin: int, out: int, err: int, answer: int, replies: int) -> None:
        cell = self.cell
        if cell.tier == "T3":
            linux.set_parent_death_signal(signal.SIGKILL)
        os.setsid()
        jail.limit_test(cell.limits)
        answer = fcntl.fcntl(answer, fcntl.F_DUPFD, 64)
        replies = fcntl.fcntl(replies, fcntl.F_DUPFD, 64) if replies >= 0 else -1
        for source, target in ((stdin, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        low = 3
        for fd in sorted(fd for fd in (answer, replies) if fd >= 0):
            os.closerange(low, fd)
            low = fd + 1
        os.closerange(low, 4096)
        gc.enable()

        def send(value: Any) -> None:
            payload = codec.dumps(value)
            if len(payload) > cell.max_answer:
                payload = codec.dumps({"too_long": len(payload)})
            codec.write_payload(answer, payload, cell.max_answer)

        runner = program.Program(cell.code, cell.source, cell.entry_point)
        match cell.mode:
            case "stdin":
                os.close(answer)
                runner.run_main()
            case "calls":
                runner.run_calls(self.test["calls"], send)
            case "serve":
                runner.run_server(lambda: codec.read_frame(replies, MAX_JOB_BYTES), send)
            case "tester":
                runner.run_tester(
                    self.test["code"], lambda: codec.read_frame(replies, MAX_JOB_BYTES), send
                )

    def watch(self) -> dict[str, Any]:
        """Returns when the child has ended; kills it when it exceeds a limit."""
        limits = self.cell.limits
        wall_end = self.started + limits.wall_s
        clock = linux.process_cpu_clock(self.pid)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        readers = {self.out: self._read_out, self.err: self._read_err}
        readers[self.answer] = self._read_answer
        for fd in readers:
            poll.register(fd, select.POLLIN)
        if self.duplex:
            poll.register(self.cell.channel, select.POLLIN)
        wake = min(wall_end, self.started + limits.cpu_s)
        while True:
            ended = False
            for fd, _ in poll.poll(max(0.0, wake - time.monotonic()) * 1000 + 1):
                if fd == self.pidfd:
                    ended = True
                elif fd in readers:
                    if not readers[fd]():
                        poll.unregister(fd)
                elif fd == self.cell.channel:
                    self._command()
            if ended:
                break
            now = time.monotonic()
            if now >= wake:
                try:
                    cpu_left = limits.cpu_s - time.clock_gettime(clock)
                except OSError:
                    cpu_left = limits.cpu_s  # it ended meanwhile
                if now >= wall_end or cpu_left <= 0:
                    self._kill("wall" if cpu_left > 0 else "cpu")
                    wake = now + 3600
                else:
                    wake = min(wall_end, now + max(cpu_left, 0.001))
        _, status, usage = os.wait4(self.pid, 0)
        return {
            "id": self.test["id"],
            "status": os.waitstatus_to_exitcode(status),
            "killed": self.killed,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": time.monotonic() - self.started,
            "peak_mib": usage.ru_maxrss / 1024,
        }

    def finish(self, facts: dict[str, Any]) -> None:
        """Reads what is left in the pipes, which no process fills any more, and closes them."""
        for fd, read in (
            (self.out, self._read_out),
            (self.err, self._read_err),
            (self.answer, self._read_answer),
        ):
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                while self.killed != "output" and read():
                    pass
        facts["killed"] = self.killed
        if self.cell.mode == "stdin":
            facts["stdout"] = self.stdout.decode("utf-8", "surrogateescape")
        facts["stderr"] = self.stderr[-STDERR_TAIL:].decode("utf-8", "replace")
        facts["answer"] = None
        if not self.duplex and (payload := self._next_frame()) is not None:
            facts["answer"] = payload.decode("ascii", "replace")
        for fd in (self.out, self.err, self.answer, self.replies, self.pidfd):
            if fd >= 0:
                os.close(fd)

    def _read_out(self) -> bool:
        part = os.read(self.out, 1 << 16)
        self.stdout += part
        if len(self.stdout) > self.cell.limits.output_kib * 1024:
            self._kill("output")
            return False
        return bool(part)

    def _read_err(self) -> bool:
        part = os.read(self.err, 1 << 16)
        self.stderr = (self.stderr + part)[-2 * STDERR_TAIL :]
        return bool(part)

    def _read_answer(self) -> bool:
        part = os.read(self.answer, 1 << 16)
        self.frames += part
        if len(self.frames) > self.cell.max_answer + codec.HEADER.size:
            self._kill("output")
            return False
        if self.duplex and part:
            while (payload := self._next_frame()) is not None:
                text = payload.decode("ascii", "replace")
                codec.write_frame(self.cell.channel, {"child": text}, MAX_JOB_BYTES)
        return bool(part)

    def _next_frame(self) -> bytes | None:
        size = codec.HEADER.size
        if len(self.frames) < size:
            return None
        end = size + codec.HEADER.unpack(self.frames[:size])[0]
        if len(self.frames) < end:
            return None
        payload = bytes(self.frames[size:end])
        del self.frames[:end]
        return payload

    def _command(self) -> None:
        command = codec.read_frame(self.cell.channel, MAX_JOB_BYTES)
        if "reply" in command:
            # A child that died or does not read is found by its end or its time.
            with contextlib.suppress(BrokenPipeError, TimeoutError):
                deadline = self.started + self.cell.limits.wall_s
                os.set_blocking(self.replies, False)
                codec.write_payload(
                    self.replies, command["reply"].encode("ascii"), MAX_JOB_BYTES, deadline
                )
        elif "stop" in command:
            self._kill("stop")

    def _kill(self, why: str) -> None:
        if self.killed is None:
            self.killed = why
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def wipe(directory: str) -> None:
    """Removes everything in `directory`, following no link, whatever modes were left on it."""
    os.chmod(directory, 0o700)
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                wipe(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)


def _file_of(text: str) -> int:
    fd = os.memfd_create("stdin")
    rest = memoryview(text.encode("utf-8", "surrogateescape"))
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
