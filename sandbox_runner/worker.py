"""One zygote as its supervisor sees it: started, given jobs, guarded, replaced when it breaks.

Everything here is trusted and holds expected values; no program's code runs here. What comes from a
cell is a bounded frame of JSON, and is judged, never believed.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox_runner import codec, extract, jail, judge, relay
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    Report,
    StdinTest,
    TestCase,
    TestResult,
    Verdict,
)

START_S = 30.0
GRACE_S = 10.0  # how far a cell may overrun a test's wall limit before it is given up
ATTEMPTS = 2  # at a test whose cell is lost, and at starting a zygote
MAX_FRAME = 1 << 28

# -P, -s and -S are all of -I but -E: PYTHONHASHSEED must be read, and the environment is empty.
_FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8", "-W", "ignore")
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from sandbox_runner import zygote; "
    "zygote.main(int(sys.argv[2]), sys.argv[3])"
)
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    # An arena reserves 64 MiB of address space, and each thread would have one.
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class CellLostError(Exception):
    """A cell or its zygote ended, hung or broke off in the middle of a job."""


class CompilerLostError(CellLostError):
    """A cell was lost while it compiled the program: the compiler crashed or takes too long."""


class ProgramRejectedError(Exception):
    """The program does not compile; the message is the compiler's."""


class Worker:
    """One zygote, and the jobs that are run on it one after another.

    Belongs to the thread that uses it: the zygote ends with that thread.
    """

    def __init__(self, tier: jail.Tier) -> None:
        self.tier = tier
        self._zygote: _Zygote | None = None
        self._interrupted = False

    def judge(self, job: Job) -> Report:
        """Runs `job`; whatever happens, one result for each of its tests, in their order."""
        results: dict[str, TestResult] = {}
        blamed: Counter[str] = Counter()
        failed_starts, error = 0, "the pool was closed"
        while not self._interrupted and (left := [t for t in job.tests if t.id not in results]):
            try:
                if self._zygote is None:
                    self._zygote = _Zygote(self.tier)
            except (jail.IsolationError, OSError) as failure:
                failed_starts, error = failed_starts + 1, str(failure)
                if failed_starts == ATTEMPTS:
                    break
                continue
            if self._interrupted:
                break
            try:
                _JobRun(self._zygote, job, results).run()
            except (CellLostError, OSError) as lost:
                error = str(lost)
                self.stop()
                if self._interrupted:
                    break
                # Tests run in order, so the first one without a result was running.
                left = [t for t in left if t.id not in results]
                if not left:
                    break
                blamed[left[0].id] += 1
                if blamed[left[0].id] < ATTEMPTS:
                    continue
                if isinstance(lost, CompilerLostError):
                    results.update((t.id, judge.result(t, Verdict.CE, note=error)) for t in left)
                else:
                    results[left[0].id] = self._lost(left[0], error)
        for test in job.tests:
            if test.id not in results:
                results[test.id] = judge.result(test, Verdict.IE, note=f"not judged: {error}")
        return Report(job.id, self.tier, tuple(results[t.id] for t in job.tests))

    def interrupt(self) -> None:
        """Makes `judge` return soon, with IE for what is left. From any thread."""
        self._interrupted = True
        if (zygote := self._zygote) is not None:
            zygote.signal_kill()

    def stop(self) -> None:
        """Kills the zygote and everything in it; the next job starts another."""
        if self._zygote is not None:
            self._zygote.kill()
            self._zygote = None

    def _lost(self, test: TestCase, error: str) -> TestResult:
        if self.tier == "T3":
            # Nothing but the program could have done that twice, and in T3 it can.
            note = f"the program ended the process that watched it: {error}"
            return judge.result(test, Verdict.RE, note=note)
        return judge.result(test, Verdict.IE, note=f"the cell was lost: {error}")


class _Zygote:
    def __init__(self, tier: jail.Tier) -> None:
        self.tier = tier
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # sys.stdin of every program is made here; a regular file, as each test's stdin is.
        stdin = os.memfd_create("stdin")
        package = str(Path(__file__).resolve().parents[1])
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_FLAGS, "-c", _START, package, str(theirs.fileno()), tier],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a terminal's Ctrl-C is for the supervisor alone
            )
        finally:
            os.close(stdin)
            theirs.close()
        self._control = ours
        self._control.settimeout(START_S)
        self._pidfd: int | None = None
        try:
            message, self._pidfd = self._receive()
        except OSError as error:
            message = f"error the zygote does not start: {error}".encode()
        if self._pidfd is None:
            text = message.decode(errors="replace").removeprefix("error ") or self._last_words()
            self.kill()
            raise jail.IsolationError(text)

    def open_cell(self, job: dict[str, Any], deadline: float) -> _Cell:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            socket.send_fds(self._control, [b"cell"], [theirs.fileno()])
            message, pidfd = self._receive()
            if pidfd is None:
                raise CellLostError(message.decode(errors="replace") or "the zygote ended")
        except OSError as error:
            ours.close()
            raise CellLostError(f"the zygote does not answer: {error}") from error
        except CellLostError:
            ours.close()
            raise
        finally:
            theirs.close()
        cell = _Cell(ours, pidfd, self.tier)
        try:
            cell.begin(job, deadline)
        except BaseException:
            cell.close()
            raise
        return cell

    def signal_kill(self) -> None:
        """Kills it without waiting, from any thread."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def kill(self) -> None:
        """Kills it and returns when it, and in T1 all in it, is gone."""
        self._control.close()
        self.signal_kill()
        if self._pidfd is not None:
            _await_end(self._pidfd)
            self._pidfd = None
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _receive(self) -> tuple[bytes, int | None]:
        try:
            message, fds, _, _ = socket.recv_fds(self._control, 4096, 1)
        except ConnectionResetError:
            return b"", None
        return message, fds[0] if fds else None

    def _last_words(self) -> str:
        self._process.kill()
        stderr = self._process.stderr
        text = stderr.read().decode(errors="replace") if stderr else ""
        return f"the zygote did not start: {text[-2000:] or 'no message'}"


class _Cell:
    """The channel to a cell, and the hold on its life."""

    def __init__(self, channel: socket.socket, pidfd: int, tier: jail.Tier) -> None:
        self.channel, self.pidfd = channel, pidfd
        channel.setblocking(False)
        # In T1 each cell mounts its own.
        self.scratch: str | None = None
        if tier == "T3":
            self.scratch = tempfile.mkdtemp(prefix="sandbox-")
            if os.getuid() == 0:
                os.chown(self.scratch, jail.NOBODY, jail.NOBODY)

    def begin(self, job: dict[str, Any], deadline: float) -> None:
        self.send({**job, "scratch": self.scratch}, deadline)
        try:
            reply = self.receive(deadline)
        except CellLostError as error:
            raise CompilerLostError(f"compiling: {error}") from error
        if "broken" in reply:
            raise CellLostError(f"the cell could not be confined: {reply['broken']}")
        if not reply.get("compiled"):
            raise ProgramRejectedError(str(reply.get("error", "")))

    def send(self, value: Any, deadline: float) -> None:
        try:
            codec.write_frame(self.channel.fileno(), value, MAX_FRAME, deadline)
        except (OSError, codec.CodecError) as error:
            raise CellLostError(f"writing to the cell: {error}") from error

    def receive(self, deadline: float) -> dict[str, Any]:
        try:
            frame = codec.read_frame(self.channel.fileno(), MAX_FRAME, deadline)
        except (OSError, EOFError, codec.CodecError) as error:
            raise CellLostError(f"reading from the cell: {error}") from error
        if not isinstance(frame, dict):
            raise CellLostError("the cell sent no object")
        return frame

    def close(self) -> None:
        """Kills the cell and returns when it, and in T1 all in it, is gone."""
        self.channel.close()
        _await_end(self.pidfd)
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


def _await_end(pidfd: int) -> None:
    """Kills a process, waits for its end and closes `pidfd`."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(GRACE_S * 1000)
    os.close(pidfd)


class _JobRun:
    """One attempt at the tests of a job that have no result yet."""

    def __init__(self, zygote: _Zygote, job: Job, results: dict[str, TestResult]) -> None:
        self.zygote, self.job, self.results = zygote, job, results
        self.limits = job.limits
        self.entry_point = job.entry_point or ""
        self.compare = judge.comparator(job.comparator, job.kind)
        self.assertions = {
            t.id: found
            for t in job.tests
            if isinstance(t, CheckTest)
            and (found := extract.assertions(t.code, job.entry_point)) is not None
        }

    def run(self) -> None:
        """Fills `results`. Raises CellLostError with what was judged until then in place."""
        try:
            self._run_in_order()
        except ProgramRejectedError as rejected:
            for test in self.job.tests:
                if test.id not in self.results:
                    facts = {"stderr": str(rejected)}
                    self._keep(judge.result(test, Verdict.CE, facts, entry_point=self.entry_point))

    def _run_in_order(self) -> None:
        # In order, so that a lost cell can be put down to one test: runs of tests of one mode.
        left = [t for t in self.job.tests if t.id not in self.results]
        while left:
            relayed = self._needs_tester(left[0])
            count = next(
                (i for i, t in enumerate(left) if self._needs_tester(t) != relayed), len(left)
            )
            group, left = left[:count], left[count:]
            if relayed:
                self._run_relayed(group)
            else:
                self._run_direct(group)

    def _needs_tester(self, test: TestCase) -> bool:
        return isinstance(test, CheckTest) and test.id not in self.assertions

    def _run_direct(self, tests: list[TestCase]) -> None:
        payload = [self._payload(t) for t in tests]
        mode = "stdin" if self.job.kind == "stdin" else "calls"
        cell = self._open(mode, self.job.program, payload)
        try:
            for test in tests:
                frame = cell.receive(self._deadline())
                if set(frame) != {"end"} or frame["end"].get("id") != test.id:
                    raise CellLostError("the cell answered out of turn")
                self._keep(self._verdict(test, frame["end"]))
        finally:
            cell.close()

    def _run_relayed(self, tests: list[TestCase]) -> None:
        program = self._open("serve", self.job.program, [])
        try:
            tester = self._open("tester", "", [])
            try:
                for test in tests:
                    assert isinstance(test, CheckTest)
                    self._keep(relay.judge_check(test, self.job, program, tester))
            finally:
                tester.close()
        finally:
            program.close()

    def _open(self, mode: str, program: str, tests: list[Any]) -> _Cell:
        header = {
            "mode": mode,
            "program": program,
            "entry_point": self.job.entry_point,
            "limits": asdict(self.limits),
            "tests": tests,
        }
        return self.zygote.open_cell(header, self._deadline())

    def _payload(self, test: TestCase) -> dict[str, Any]:
        match test:
            case StdinTest():
                return {"id": test.id, "input": test.input}
            case FunctionTest():
                return {"id": test.id, "calls": [_call(test.args, test.kwargs)]}
            case CheckTest():
                calls = [_call(a.args, a.kwargs) for a in self.assertions[test.id]]
                return {"id": test.id, "calls": calls}

    def _verdict(self, test: TestCase, facts: dict[str, Any]) -> TestResult:
        match test:
            case StdinTest():
                return judge.judge_stdin(test, self.compare, self.limits, facts)
            case FunctionTest():
                return judge.judge_function(
                    test, self.entry_point, self.compare, self.limits, facts
                )
            case CheckTest():
                found = self.assertions[test.id]
                return judge.judge_assertions(test, found, self.entry_point, self.limits, facts)

    def _keep(self, result: TestResult) -> None:
        self.results[result.id] = result

    def _deadline(self) -> float:
        return time.monotonic() + self.limits.wall_s + GRACE_S


def _call(args: tuple[Any, ...], kwargs: Any) -> list[Any]:
    return [[codec.encode(a) for a in args], {k: codec.encode(v) for k, v in kwargs.items()}]
