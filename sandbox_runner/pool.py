"""Jobs over all cores: one worker thread and one zygote for each, bounded and in completion order.

A thread only moves bytes and compares; the programs run in the zygotes, which are started by exec.
So a pool may live in a process with threads of its own, and in a script without a `__main__` guard.
"""

from __future__ import annotations

import logging
import os
import queue
import resource
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from sandbox_runner import jail, judge, trial
from sandbox_runner.types import Job, Report, StdinTest, Verdict
from sandbox_runner.worker import Worker

_log = logging.getLogger(__name__)

JOBS_AHEAD = 2  # jobs taken from the caller for each worker, being run or waiting
WORKER_FILES = 40  # descriptors of a worker's zygotes, cells and one process of each kind
TEST_FILES = 3  # and of each stdin test that one process is given
SPARE_FILES = 32  # left to the rest of this process

_ALLOW = "--allow-weak-isolation (allow_weak_isolation=True)"
_WEAK = (
    "programs run under resource limits only (T3): they can read files, use the network and signal "
    "processes"
)
_PROBE = Job("probe", "print(input())", "stdin", (StdinTest("probe", "ready", "ready"),))
_Task = tuple[Job, "queue.SimpleQueue[Report]", threading.Event]


class PoolClosedError(RuntimeError):
    """`run` was called on a pool that is closed."""


class Pool:
    """Judges jobs in `workers` jailed processes.

    Attributes:
      tier: the isolation that its programs run under, see `sandbox_runner.jail`; the strongest that
        the machine offers, unless the caller asks for one.
      workers: how many jobs run at once; one a core unless said otherwise.

    The soft limit of open files of this process is raised, as far as its hard limit lets it, to
    what the workers need; where that is little, fewer stdin tests share a process.

    Raises:
      jail.IsolationError: the machine does not offer the tier that was asked for, or neither T1 nor
        T2 and `allow_weak_isolation` is False, or too few open files; the message names what is
        missing.
    """

    def __init__(
        self,
        workers: int | None = None,
        allow_weak_isolation: bool = False,
        tier: jail.Tier | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self.workers = workers or len(os.sched_getaffinity(0))
        self._batch = _batch_size(self.workers)
        self.tier = find_tier(allow_weak_isolation, tier)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running: list[Worker] = []
        self._closed = threading.Event()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[Report]:
        """Yields one Report for each job, in the order in which they finish.

        Takes at most JOBS_AHEAD jobs a worker before it yields, so `jobs` may be endless. A job
        that could not be judged through no fault of its program has the verdict IE.

        Raises:
          PoolClosedError: the pool is closed, or was closed while reports were awaited.
          JobFormatError: a job names an unknown comparator.
        """
        reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        abandoned = threading.Event()
        source, in_flight, exhausted = iter(jobs), 0, False
        try:
            while True:
                while not exhausted and in_flight < JOBS_AHEAD * self.workers:
                    job = next(source, None)
                    if job is None:
                        exhausted = True
                        break
                    judge.check_job(job)
                    self._submit((job, reports, abandoned))
                    in_flight += 1
                if not in_flight:
                    return
                yield self._next(reports)
                in_flight -= 1
        finally:
            abandoned.set()

    def close(self) -> None:
        """Ends the pool at once: jobs that are still running are killed."""
        self._closed.set()
        for _ in self._threads:
            self._tasks.put(None)
        for worker in list(self._running):
            worker.interrupt()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _submit(self, task: _Task) -> None:
        if self._closed.is_set():
            raise PoolClosedError("this pool is closed; open another one")
        if len(self._threads) < self.workers:
            # A daemon, so that a caller who forgets to close can still end.
            thread = threading.Thread(target=self._work, name="sandbox-worker", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(task)

    def _next(self, reports: queue.SimpleQueue[Report]) -> Report:
        while True:
            try:
                return reports.get(timeout=1.0)
            except queue.Empty:
                if self._closed.is_set():
                    raise PoolClosedError("the pool was closed while jobs were running") from None

    def _work(self) -> None:
        worker = Worker(self.tier, self._batch)
        self._running.append(worker)
        try:
            while not self._closed.is_set() and (task := self._tasks.get()) is not None:
                job, reports, abandoned = task
                if not abandoned.is_set():
                    reports.put(self._judge(worker, job))
        finally:
            worker.stop()

    def _judge(self, worker: Worker, job: Job) -> Report:
        try:
            return worker.judge(job)
        except Exception as error:  # noqa: BLE001 (a job without a report would hang its caller)
            _log.exception("job %r could not be judged", job.id)
            worker.stop()
            note = f"{type(error).__name__}: {error}"
            tests = tuple(judge.result(t, Verdict.IE, note=note) for t in job.tests)
            return Report(job.id, self.tier, tests)


def find_tier(allow_weak_isolation: bool = False, wanted: jail.Tier | None = None) -> jail.Tier:
    """The strongest tier that this machine offers, or the wanted one, found by using it.

    Raises:
      jail.IsolationError: what was wanted is not offered; or T1 and T2 are not, and T3 is not
        either or not allowed.
    """
    if wanted == "T3" and not allow_weak_isolation:
        raise jail.IsolationError(f"T3 is refused without {_ALLOW}: {_WEAK}")
    if wanted is not None:
        probe(wanted)
        return wanted
    missing = []
    strong: tuple[jail.Tier, ...] = ("T1", "T2")
    for tier in strong:
        try:
            probe(tier)
        except jail.IsolationError as error:
            missing.append(f"{tier} lacks {error}")
        else:
            if missing:
                _log.warning("programs run in %s: %s", tier, "; ".join(missing))
            return tier
    if not allow_weak_isolation:
        raise jail.IsolationError(
            f"no isolation is available here: {'; '.join(missing)}. With {_ALLOW} {_WEAK}"
        )
    _log.warning("weak isolation (T3): %s", "; ".join(missing))
    probe("T3")
    return "T3"


def _batch_size(workers: int) -> int:
    """How many stdin tests one process can be given under this process's limit of open files.

    Raises the soft limit to what is needed. Raises IsolationError where there is no room for one.
    """
    soft, hard = (
        limit if limit != resource.RLIM_INFINITY else 1 << 30
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    used = len(os.listdir("/proc/self/fd")) + SPARE_FILES
    most = used + workers * (WORKER_FILES + TEST_FILES * trial.MAX_BATCH)
    if soft < most:
        soft = max(soft, min(most, hard))
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
    batch = ((soft - used) // workers - WORKER_FILES) // TEST_FILES
    if batch < 1:
        least = used + workers * (WORKER_FILES + TEST_FILES)
        fewer = (soft - used) // (WORKER_FILES + TEST_FILES)
        remedy = f"raise the hard limit to {most} or more (ulimit -Hn)"
        if fewer:
            remedy += f", or use fewer workers (at most {fewer})"
        raise jail.IsolationError(
            f"{workers} workers need {least} open files and this process may have {soft}: {remedy}"
        )
    return min(batch, trial.MAX_BATCH)


def probe(tier: jail.Tier) -> None:
    """Runs a program in `tier`. Raises IsolationError naming what failed."""
    worker = Worker(tier)
    try:
        result: Any = worker.judge(_PROBE).tests[0]
    finally:
        worker.stop()
    if result.verdict is not Verdict.AC:
        raise jail.IsolationError(f"a program could not be run in it: {result.stderr}")
