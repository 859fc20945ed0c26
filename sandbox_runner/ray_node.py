"""One node of the Ray engine: an actor that owns a Pool, and the bytes that travel to it and back.

Ray carries bytes only, all of them JSON: nothing that a program made is ever pickled, and a node
cannot make the driver unpickle anything of its choice through a report.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sandbox_runner.jail import IsolationError
from sandbox_runner.pool import Pool
from sandbox_runner.store import JUDGE_VERSION
from sandbox_runner.types import Job, Limits, Report, test_from_json

# Calls that one actor runs side by side: batches, and what must never wait for them.
MAX_CALLS = 64


class NodeJudge:
    """What runs as an actor; made by `ray.remote`, and an ordinary object without it.

    Every method takes and returns plain values and bytes of JSON.
    """

    def __init__(self, workers: int, allow_weak_isolation: bool) -> None:
        self._workers, self._allow_weak_isolation = workers, allow_weak_isolation
        self._pool: Pool | None = None
        self._dropped: set[str] = set()
        # A weak tier is told to the driver, once for all nodes.
        logging.getLogger("sandbox_runner").setLevel(logging.ERROR)

    def start(self) -> bytes:
        """Opens the pool; returns what all nodes must agree on, or {"missing": why}."""
        _as_without_ray()
        try:
            self._pool = Pool(self._workers, self._allow_weak_isolation)
        except IsolationError as error:
            return _dumps({"missing": str(error)})
        facts = local_facts()
        return _dumps({**facts, "tier": self._pool.tier, "pid": os.getpid()})

    def judge(self, run: str, batch: bytes) -> bytes:
        """The reports of a batch in completion order; those that a dropped run left are missing."""
        _as_without_ray()
        assert self._pool is not None, "start comes first"
        jobs = decode_jobs(batch)
        reports = self._pool.run(self._unless_dropped(run, jobs))
        return encode_reports(reports)

    def drop(self, run: str) -> None:
        """Nobody waits for this run any longer: its jobs that have not begun never will."""
        self._dropped.add(run)

    def close(self) -> None:
        """Ends the pool and everything in it."""
        if self._pool is not None:
            self._pool.close()

    def _unless_dropped(self, run: str, jobs: Sequence[Job]) -> Iterator[Job]:
        for job in jobs:
            if run in self._dropped:
                return
            yield job


def local_facts() -> dict[str, Any]:
    """What else decides a verdict, and is part of a stored result's key, on this machine."""
    return {"python": "{}.{}".format(*sys.version_info[:2]), "judge": JUDGE_VERSION}


def _as_without_ray() -> None:
    """Undoes for this thread, and so for all that it starts, what a program could notice of Ray.

    Ray starts its processes with SIGINT blocked, and a mask is inherited through fork and exec.
    """
    if threading.current_thread() is not threading.main_thread():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class BatchWriter:
    """A batch as it is gathered. Tests that jobs share are written once.

    Attributes:
      jobs: those in it; on their way they are named by their position here.
      size: of its JSON, in bytes.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.size = 0
        self._lines: list[str] = []
        self._tests: dict[str, int] = {}
        self._known: dict[int, int] = {}

    def add(self, job: Job) -> None:
        """Adds a job. Raises codec.CodecError on a test with a value that is not plain data."""
        # By identity first: the rollouts of one problem share one tuple, which self.jobs holds.
        index = self._known.get(id(job.tests))
        if index is None:
            text = json.dumps([t.to_json() for t in job.tests], separators=(",", ":"))
            if text not in self._tests:
                self._tests[text] = len(self._tests)
                self.size += len(text)
            index = self._known[id(job.tests)] = self._tests[text]
        data = {
            "id": str(len(self.jobs)),
            "program": job.program,
            "kind": job.kind,
            "entry_point": job.entry_point,
            "comparator": job.comparator,
            "limits": job.limits.to_json(),
            "tests": index,
        }
        line = json.dumps(data, separators=(",", ":"))
        self.size += len(line)
        self._lines.append(line)
        self.jobs.append(job)

    def payload(self) -> bytes:
        """The batch as JSON."""
        text = f'{{"tests":[{",".join(self._tests)}],"jobs":[{",".join(self._lines)}]}}'
        return text.encode("ascii")


def decode_jobs(batch: bytes) -> list[Job]:
    """The jobs of a batch, named by their position. Raises JobFormatError."""
    data = json.loads(batch)
    tests = [tuple(test_from_json(t) for t in shared) for shared in data["tests"]]
    return [
        Job(**{**j, "tests": tests[j["tests"]], "limits": Limits.from_json(j["limits"])})
        for j in data["jobs"]
    ]


def encode_reports(reports: Iterator[Report]) -> bytes:
    """Reports as JSON."""
    return _dumps([r.to_json() for r in reports])


def decode_reports(data: bytes, jobs: Sequence[Job]) -> list[Report]:
    """One report for each job, under the job's own name, in the order in which they finished.

    Raises:
      ValueError: these are not the reports of these jobs.
    """
    try:
        reports = [Report.from_json(r) for r in json.loads(data)]
        if sorted(int(r.id) for r in reports) != list(range(len(jobs))):
            raise ValueError("a batch came back with other reports than one for each job")
        named = []
        for report in reports:
            job = jobs[int(report.id)]
            if [t.id for t in report.tests] != [t.id for t in job.tests]:
                raise ValueError(f"the report on job {job.id!r} is not on its tests")
            named.append(replace(report, id=job.id))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a batch came back in another form: {error!r}") from error
    return named


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
