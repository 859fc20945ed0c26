"""A worker: its zygotes and cells, started, given programs, and replaced when they break.

Everything here is trusted; no program's code runs here. How single tests are run is in
`sandbox_runner.trial`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter, OrderedDict
from functools import cache, partial
from pathlib import Path
from typing import Literal

from sandbox_runner import jail, judge, trial, zygote
from sandbox_runner.types import CheckTest, Job, Report, TestCase, TestResult, Verdict
from sandbox_runner.watch import CellHandle, CellLostError, end_process

_log = logging.getLogger(__name__)

Image = Literal["lean", "numpy"]

START_S = 30.0
ATTEMPTS = 2  # at a test whose cell is lost, and at starting a zygote
PLANS = 64  # of test suites, kept for the next program of the same problem

# -P, -s and -S are all of -I but -E: PYTHONHASHSEED must be read, and the environment is empty.
_FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8", "-W", "ignore")
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from sandbox_runner import warm; "
    "warm.up(); from sandbox_runner import zygote; "
    "zygote.main(int(sys.argv[2]), sys.argv[3], tuple(sys.argv[4:]))"
)
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    # Else each program binds anew what nothing before it has called.
    "LD_BIND_NOW": "1",
    # An arena reserves 64 MiB of address space, and each thread would have one.
    "MALLOC_ARENA_MAX": "1",
    # Threads of a library would keep the zygote from changing its namespaces.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class Worker:
    """Zygotes and cells, and the jobs that are run in them one after another.

    Belongs to the thread that uses it: the zygotes end with that thread. `batch` is how many stdin
    tests one process is given at most.
    """

    def __init__(self, tier: jail.Tier, batch: int = trial.MAX_BATCH) -> None:
        self.tier, self.batch = tier, batch
        self._zygotes: dict[Image, _Zygote] = {}
        self._cells: dict[tuple[Image, trial.Role], _Cell] = {}
        self._plans: OrderedDict[int, trial.Plan] = OrderedDict()
        self._interrupted = False

    def judge(self, job: Job, compare: judge.Compare | None = None) -> Report:
        """Runs `job`; whatever happens, one result for each of its tests, in their order.

        Args:
          compare: in place of the job's comparator.
        """
        results: dict[str, TestResult] = {}
        blamed: Counter[str] = Counter()
        error = "the pool was closed"
        plan = self._plan(job)
        limits = int(job.limits.memory_mib), int(job.limits.processes)
        cell = partial(self._cell, image_of(job), limits)
        while not self._interrupted and (left := [t for t in plan.tests if t.id not in results]):
            try:
                trial.Trial(job, plan, cell, results, compare, self.batch).run()
            except _StartError as failure:
                error = str(failure)
                break
            except (CellLostError, OSError) as lost:
                error = str(lost)
                self.stop()
                # Tests run in order, so the first one without a result was running.
                left = [t for t in left if t.id not in results]
                if self._interrupted or not left:
                    break
                blamed[left[0].id] += 1
                if blamed[left[0].id] == ATTEMPTS:
                    results[left[0].id] = self._lost(left[0], error)
        for test in job.tests:
            if test.id not in results:
                results[test.id] = judge.result(test, Verdict.IE, note=f"not judged: {error}")
        return Report(job.id, self.tier, tuple(results[t.id] for t in job.tests))

    def _cell(self, image: Image, limits: tuple[int, int], role: trial.Role) -> CellHandle:
        """A cell for a program, or for test code, that no program has touched.

        Raises CellLostError, or OSError, where none can be made.
        """
        if role == "tests":
            # Those of the program count too: however many it has, the test code can be started.
            limits = limits[0], 2 * limits[1]
        cell = self._cells.get((image, role))
        if cell is not None and (cell.handle.spent or cell.limits != limits):
            self._cells.pop((image, role)).close()
            cell = None
        if cell is None:
            cell = self._cells[image, role] = self._zygote(image).start_cell(limits)
        return cell.handle

    def interrupt(self) -> None:
        """Makes `judge` return soon, with IE for what is left. From any thread."""
        self._interrupted = True
        for running in list(self._zygotes.values()):
            running.signal_kill()

    def stop(self) -> None:
        """Kills the zygotes and everything in them; the next job starts others."""
        while self._zygotes:
            self._zygotes.popitem()[1].kill()
        while self._cells:
            self._cells.popitem()[1].close()

    def _zygote(self, image: Image) -> _Zygote:
        for attempt in range(1, ATTEMPTS + 1):
            if self._interrupted:
                raise _StartError("the pool was closed")
            if image in self._zygotes:
                break
            try:
                self._zygotes[image] = _Zygote(self.tier, image)
            except (jail.IsolationError, OSError) as failure:
                if attempt == ATTEMPTS:
                    raise _StartError(str(failure)) from failure
        return self._zygotes[image]

    def _plan(self, job: Job) -> trial.Plan:
        # The programs of a problem share one tuple of tests, which a plan keeps alive.
        key = id(job.tests)
        plan = self._plans.get(key)
        if plan is None or plan.entry_point != job.entry_point:
            plan = self._plans[key] = trial.Plan(job)
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan

    def _lost(self, test: TestCase, error: str) -> TestResult:
        if self.tier == "T3":
            # Nothing but the program could have done that twice, and in T3 it can.
            note = f"the program ended the process that watched it: {error}"
            return judge.result(test, Verdict.SV, note=note)
        return judge.result(test, Verdict.IE, note=f"the cell was lost: {error}")


def image_of(job: Job) -> Image:
    """The image that a job's program, or its test code, may ask for: one that names numpy.

    The word is enough, in whatever kind of import or text: a miss costs a right program its
    verdict, a false find costs milliseconds.
    """
    sources = [job.program, *(t.code for t in job.tests if isinstance(t, CheckTest))]
    return "numpy" if any("numpy" in s for s in sources) and packages("numpy") else "lean"


@cache
def packages(image: Image) -> tuple[str, ...]:
    """The directories that make up an image beside the standard library; () if not installed."""
    if image == "lean":
        return ()
    found = importlib.util.find_spec("numpy")
    if found is None or not found.submodule_search_locations:
        return ()
    directory = os.path.realpath(found.submodule_search_locations[0])
    libraries = directory + ".libs"
    return (directory, libraries) if os.path.isdir(libraries) else (directory,)


class _StartError(Exception):
    """No zygote could be started, twice."""


class _Zygote:
    def __init__(self, tier: jail.Tier, image: Image) -> None:
        self.tier = tier
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # sys.stdin of every program is made here; a regular file, as each test's stdin is.
        stdin = os.memfd_create("stdin")
        package = str(Path(__file__).resolve().parents[1])
        command = [sys.executable, *_FLAGS, "-c", _START, package, str(theirs.fileno()), tier]
        try:
            self._process = subprocess.Popen(
                [*command, *packages(image)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            os.close(stdin)
            theirs.close()
        self._control = ours
        self._pidfd: int | None = None
        ours.settimeout(START_S)
        try:
            message, self._pidfd = self._receive()
            if message != zygote.READY:
                raise jail.IsolationError(
                    message.decode(errors="replace").removeprefix("error ") or self._last_words()
                )
        except BaseException:
            self.kill()
            raise

    def start_cell(self, limits: tuple[int, int]) -> _Cell:
        scratch = ""
        if self.tier != "T1":
            scratch = tempfile.mkdtemp(prefix="sandbox-")
            if os.getuid() == 0:
                os.chown(scratch, jail.NOBODY, jail.NOBODY)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            order = zygote.FORK + zygote.LIMITS.pack(*limits) + os.fsencode(scratch)
            socket.send_fds(self._control, [order], [theirs.fileno()])
            message, pidfd = self._receive()
            if message != zygote.READY or pidfd is None:
                raise CellLostError(message.decode(errors="replace") or "the zygote is gone")
        except BaseException as error:
            ours.close()
            _remove(scratch)
            if isinstance(error, OSError):
                raise CellLostError(f"the zygote does not answer: {error}") from error
            raise
        finally:
            theirs.close()
        return _Cell(CellHandle(ours, pidfd), limits, scratch)

    def signal_kill(self) -> None:
        """Kills it without waiting, from any thread."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def kill(self) -> None:
        """Kills it and returns when it, and in T1 all in it, is gone."""
        self._control.close()
        self.signal_kill()
        if self._pidfd is not None:
            end_process(self._pidfd)
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
    def __init__(self, handle: CellHandle, limits: tuple[int, int], scratch: str) -> None:
        self.handle, self.limits, self.scratch = handle, limits, scratch

    def close(self) -> None:
        self.handle.close()
        _remove(self.scratch)


def _remove(scratch: str) -> None:
    """Removes a scratch directory, whatever a program made of it."""
    if not scratch:
        return
    try:
        os.rmdir(scratch)  # nearly all are empty
    except OSError:
        # A tree of any depth, with any modes, where recursion in Python would come to its end.
        for command in (["chmod", "-R", "u+rwX", scratch], ["rm", "-rf", scratch]):
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
        if os.path.lexists(scratch):
            _log.warning("%s could not be removed", scratch)
