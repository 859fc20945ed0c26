"""The engine over a Ray cluster: jobs travel in batches to an actor on each node.

A batch whose actor or node is lost goes to another one. If that happens again, its jobs are tried
one by one with no company, so that a job which kills actors takes no other job's label with it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sandbox_runner import judge
from sandbox_runner.engine import EngineError
from sandbox_runner.pool import PoolClosedError
from sandbox_runner.ray_cluster import connect
from sandbox_runner.ray_fleet import Fleet, Place, gist
from sandbox_runner.ray_node import BatchWriter, decode_reports
from sandbox_runner.types import Job, Report, Verdict

_log = logging.getLogger(__name__)

BATCH, MAX_BATCH = 64, 256  # jobs
MAX_BATCH_BYTES = 8 << 20  # after which no further job is put into a batch
ATTEMPTS = 3  # at a job, the last of them alone; then it is an internal error
WAIT_S = 0.5


class RayEngine:
    """Judges jobs on all nodes of a Ray cluster.

    Attributes:
      tier: the isolation that all programs run under, "T1" or "T3".

    Args:
      address: "auto", "HOST:PORT" or "ray://HOST:PORT". None uses the connection that this process
        has, else RAY_ADDRESS, else starts a cluster on this machine, which ends with the engine.
      workers_per_node: jobs at once on each node; None for as many as it has CPUs.
      batch: jobs that travel together, 1 to 256.
      actors_per_node: a node's CPUs are divided among them; more than one serves tests.

    Raises:
      ValueError: a number that is out of range.
      EngineSetupError: ray is not installed, or no cluster is found.
      EngineError: the nodes differ in tier, Python or judge, or none could be started.
      jail.IsolationError: nodes that do not offer T1, unless weak isolation is allowed.
    """

    def __init__(
        self,
        address: str | None = None,
        workers_per_node: int | None = None,
        allow_weak_isolation: bool = False,
        *,
        batch: int = BATCH,
        actors_per_node: int = 1,
    ) -> None:
        for name, value in (("workers_per_node", workers_per_node), ("actors", actors_per_node)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not 1 <= batch <= MAX_BATCH:
            raise ValueError(f"batch must be 1 to {MAX_BATCH} jobs, not {batch}")
        self._batch = batch
        self._closed = threading.Event()
        self._ray, self._connected = connect(address)
        try:
            self._fleet = Fleet(self._ray, workers_per_node, allow_weak_isolation, actors_per_node)
        except BaseException:
            self._disconnect()
            raise
        self.tier = self._fleet.tier
        if self.tier == "T3":
            _log.warning("weak isolation (T3) on the nodes of the Ray cluster")

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many jobs run at once, over all nodes that are up."""
        return self._fleet.workers

    def run(self, jobs: Iterable[Job]) -> Iterator[Report]:
        """Yields one Report for each job, batch by batch as they finish.

        Jobs are taken a batch at a time and only when an actor has room, so `jobs` may be endless.
        A job that is lost with ATTEMPTS actors has the verdict IE.

        Raises:
          PoolClosedError: the engine is closed, or was closed while reports were awaited.
          JobFormatError: a job names an unknown comparator.
          codec.CodecError: a test holds a value that is not plain data.
          EngineError: no node is left.
        """
        if self._closed.is_set():
            raise PoolClosedError("this engine is closed; open another one")
        run = _Run(self._ray, self._fleet, iter(jobs), self._batch, self._closed)
        try:
            yield from run.reports()
        finally:
            run.abandon()

    def close(self) -> None:
        """Ends all actors and their programs; a cluster that we started ends too."""
        if not self._closed.is_set():
            self._closed.set()
            try:
                self._fleet.close()
            finally:
                self._disconnect()

    def _disconnect(self) -> None:
        if self._connected:
            self._ray.shutdown()


@dataclass(eq=False)
class _Batch:
    jobs: list[Job]
    payload: bytes
    lost: int = 0  # actors that were lost with it

    @property
    def alone(self) -> bool:
        return self.lost == ATTEMPTS - 1


@dataclass
class _Sent:
    place: Place
    actor: Any
    batch: _Batch


class _Run:
    """One call of `run`: which batches are where."""

    def __init__(
        self, ray: Any, fleet: Fleet, jobs: Iterator[Job], size: int, closed: threading.Event
    ) -> None:
        self.ray, self.fleet, self.jobs, self.size, self.closed = ray, fleet, jobs, size, closed
        self.name = uuid.uuid4().hex
        self.exhausted = False
        self.again: deque[_Batch] = deque()
        self.sent: dict[Any, _Sent] = {}

    def reports(self) -> Iterator[Report]:
        while True:
            self._send_what_fits()
            if not self.sent and not self.again and self.exhausted:
                return
            self.fleet.refresh()
            for ref in self._wait():
                if ref in self.sent:
                    yield from self._take(ref)
                else:
                    self.fleet.started(ref)
            if self.closed.is_set():
                raise PoolClosedError("the engine was closed while jobs were running")

    def abandon(self) -> None:
        """Gives up what is not finished."""
        for sent in self.sent.values():
            self.fleet.gave_back(sent.place, sent.actor, finished=False)
        self.fleet.drop({sent.place for sent in self.sent.values()}, self.name)
        self.sent.clear()

    def _send_what_fits(self) -> None:
        while (place := self.fleet.idlest(self.size)) is not None:
            if self.again and self.again[0].alone and place.load:
                return  # wait until a place is empty
            batch = self.again.popleft() if self.again else self._gather()
            if batch is None:
                return
            actor = self.fleet.took(place, batch.alone)
            ref = actor.judge.remote(self.name, batch.payload)
            self.sent[ref] = _Sent(place, actor, batch)

    def _gather(self) -> _Batch | None:
        writer = BatchWriter()
        while len(writer.jobs) < self.size and writer.size < MAX_BATCH_BYTES:
            job = None if self.exhausted else next(self.jobs, None)
            if job is None:
                self.exhausted = True
                break
            judge.check_job(job)
            writer.add(job)
        return _Batch(writer.jobs, writer.payload()) if writer.jobs else None

    def _wait(self) -> list[Any]:
        refs = [*self.sent, *self.fleet.starting()]
        if not refs:  # all places are taken by another run
            time.sleep(WAIT_S / 10)
            return []
        ready: list[Any] = self.ray.wait(refs, timeout=WAIT_S)[0]
        return ready

    def _take(self, ref: Any) -> Iterator[Report]:
        sent = self.sent.pop(ref)
        try:
            reports = decode_reports(self.ray.get(ref), sent.batch.jobs)
        except (self.ray.exceptions.RayError, ValueError) as error:
            if self.closed.is_set():
                raise PoolClosedError("the engine was closed while jobs were running") from None
            yield from self._lost(sent, error)
        else:
            self.fleet.gave_back(sent.place, sent.actor, finished=True)
            yield from reports

    def _lost(self, first: _Sent, error: Exception) -> Iterator[Report]:
        """Takes an actor's batches back; reports on those that were lost too often."""
        # The actor is killed before its batches go to others, so that no report comes twice.
        with_it = [ref for ref, sent in self.sent.items() if sent.actor is first.actor]
        batches = [first.batch, *(self.sent.pop(ref).batch for ref in with_it)]
        failure: EngineError | None = None
        try:
            self.fleet.lost(first.place, first.actor, error)
        except EngineError as none_left:
            failure = none_left
        given_up: list[Job] = []
        for batch in batches:
            batch.lost += 1
            if batch.lost >= ATTEMPTS:
                given_up += batch.jobs
            elif batch.alone:
                self.again.extend(_one_by_one(batch))
            else:
                self.again.append(batch)
        note = f"lost with {ATTEMPTS} actors of the Ray cluster, at last by itself: {gist(error)}"
        for job in given_up:
            tests = tuple(judge.result(t, Verdict.IE, note=note) for t in job.tests)
            yield Report(job.id, self.fleet.tier, tests)
        if failure is not None:
            raise failure


def _one_by_one(batch: _Batch) -> Iterator[_Batch]:
    for job in batch.jobs:
        writer = BatchWriter()
        writer.add(job)
        yield _Batch([job], writer.payload(), batch.lost)
