"""Rollouts to labels: every distinct program is run once, every step counts the rollouts behind it.

The label of step j of a trace is taken over all rollouts of the same problem whose first j thoughts
are equal: how many there are, how many pass every test, and the sum of their pass rates.

Beside OUT stands OUT.results (see `sandbox_runner.store`): the reports by content, the fingerprint
of the inputs, and how far OUT was complete after each problem. A restart cuts OUT there, runs
nothing that it finds in the store, and goes on. A report with an IE verdict is not kept: a restart
cuts OUT before the first problem that lacks a trace for one, and tries those programs again.

Where TRACES.results stands beside the traces, because who drew them has run programs already, its
reports are taken over: a key is all that decides a report, so one found there is one of ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox_runner import judge
from sandbox_runner.engine import Engine, given_or_pool
from sandbox_runner.store import (
    AppendFile,
    ResultStore,
    StoredReports,
    StoreError,
    job_key,
    parse,
    results_path,
)
from sandbox_runner.types import (
    Job,
    JobFormatError,
    Limits,
    Report,
    TestResult,
    Verdict,
    test_from_json,
)

SCHEMA_VERSION = 1
MAX_FAILURES = 5  # failing public tests that are shown with a trace
RETRIES = 1  # of a report with an IE verdict, beyond the engine's own

Progress = Callable[[int, int], None]


class LabelError(ValueError):
    """An input that cannot be labelled; the message names the file, the line and the remedy."""


@dataclass
class LabelSummary:
    """What a labelling run did.

    Attributes:
      traces: labelled in OUT, those of earlier runs included.
      programs_run: distinct programs judged by this run.
      programs_reused: distinct programs whose report was already there.
      excluded: traces left out because the judge failed on their program (IE); a restart tries
        them again.
      verdicts: verdicts of single tests, over the distinct programs seen by this run.
      tier: the isolation of this run.
    """

    traces: int = 0
    programs_run: int = 0
    programs_reused: int = 0
    excluded: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    tier: str = ""


def label(
    traces_path: str | Path,
    problems_path: str | Path,
    out_path: str | Path,
    *,
    workers: int | None = None,
    allow_weak_isolation: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> LabelSummary:
    """Writes the labelled traces to `out_path`, going on where an earlier run stopped.

    Args:
      workers, allow_weak_isolation: of a Pool of its own, opened where there is no engine.
      engine: runs the programs, and stays open. OUT is the same whichever it is.
      progress: called with (traces done, traces in all) whenever a problem is finished.

    Raises:
      LabelError: bad input; nothing was run.
      StoreError: OUT belongs to other inputs, is one of them, or is being written by another run.
      jail.IsolationError: see `Pool`.
      EngineError: the engine cannot go on. What was finished is kept.
      OSError: reading or writing failed. What was finished is kept.
    """
    traces, problems = Path(traces_path), _Problems(Path(problems_path))
    groups, inputs = _index_traces(traces, problems)
    read = traces, Path(problems_path)
    with (
        AppendFile(Path(out_path), _is_labelled, inputs=read) as out,
        contextlib.closing(ResultStore(results_path(Path(out_path)), read)) as store,
        StoredReports(results_path(traces)) as earlier,
        given_or_pool(engine, workers, allow_weak_isolation) as judges,
        open(traces, "rb") as trace_file,
    ):
        done = _resume(out, store, inputs)
        run = _Run(judges, store, earlier, out, problems, trace_file, groups, progress)
        return run.go(done)


def _is_labelled(record: dict[str, Any]) -> bool:
    return {"steps", "outcome", "public"} <= record.keys()


def _resume(out: AppendFile, store: ResultStore, inputs: dict[str, str]) -> list[str]:
    """Brings OUT to where it goes on; returns the ids of the problems that it holds.

    That is after its last complete problem, or before the first one with excluded traces: OUT has
    the order of the traces, so what follows is written again, from the store.
    """
    done: dict[str, int] = {}
    ends: dict[str, int] = {}
    made_of = None
    for mark in store.marks:
        if "inputs" in mark:
            made_of, done, ends = mark["inputs"], {}, {}
        elif "problem" in mark:
            # A problem that is there a second time was gone back to, with all behind it.
            while mark["problem"] in done:
                done.popitem()
            done[mark["problem"]] = mark["excluded"]
            ends[mark["problem"]] = mark["end"]
    kept = [p for p, _ in itertools.takewhile(lambda item: not item[1], done.items())]
    end = ends[kept[-1]] if kept else 0
    size = out.path.stat().st_size
    if size and made_of != inputs:
        why = "from other traces or problems" if made_of else "by something else"
        raise StoreError(
            f"{out.path} was made {why}; choose another --out or move it away "
            f"(results in {out.path}.results that still apply will be reused)"
        )
    if size < end:
        # Shortened or removed by hand: begin again. No program will be run again.
        kept, end, made_of = [], 0, None
    out.truncate(end)
    if made_of != inputs:
        kept = []
        store.mark({"inputs": inputs})
    return kept


# Reading the inputs


@dataclass(frozen=True)
class _Problem:
    kind: str
    entry_point: str | None
    comparator: str | None
    limits: Limits
    tests: tuple[Any, ...]
    public: tuple[str, ...]

    def job(self, job_id: str, program: str) -> Job:
        return Job(
            id=job_id,
            program=program,
            kind=self.kind,  # type: ignore[arg-type]
            tests=self.tests,
            entry_point=self.entry_point,
            comparator=self.comparator,
            limits=self.limits,
        )


class _Problems:
    """problems.jsonl, of which only the offsets are held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest = hashlib.sha256()
        self._where: dict[str, tuple[int, int]] = {}
        for number, offset, data in _objects(path, self.digest):
            problem_id = data.get("id")
            if not isinstance(problem_id, str):
                raise LabelError(f"{path}:{number}: a problem needs a string 'id'")
            if problem_id in self._where:
                raise LabelError(f"{path}:{number}: problem {problem_id!r} is there twice")
            self._where[problem_id] = (number, offset)
        self._file = open(path, "rb")  # noqa: SIM115 (lives as long as this object)

    def __contains__(self, problem_id: str) -> bool:
        return problem_id in self._where

    def get(self, problem_id: str) -> _Problem:
        """Reads one problem. Raises LabelError naming its line."""
        number, offset = self._where[problem_id]
        self._file.seek(offset)
        data = json.loads(self._file.readline())
        where = f"{self.path}:{number}: problem {problem_id!r}"
        try:
            public = [test_from_json(t, where) for t in data.get("public", [])]
            private = [test_from_json(t, where) for t in data.get("private", [])]
            problem = _Problem(
                data.get("kind"),
                data.get("entry_point"),
                data.get("comparator"),
                Limits.from_json(data.get("limits")),
                tuple(public + private),
                tuple(t.id for t in public),
            )
            judge.check_job(problem.job(problem_id, ""))
        except JobFormatError as error:
            text = str(error)
            raise LabelError(text if text.startswith(where) else f"{where}: {text}") from error
        except (TypeError, AttributeError) as error:
            raise LabelError(f"{where}: {error}") from error
        return problem


def _index_traces(path: Path, problems: _Problems) -> tuple[dict[str, list[int]], dict[str, str]]:
    """({problem id: offsets of its traces}, fingerprint of both files), everything validated."""
    digest = hashlib.sha256()
    groups: dict[str, list[int]] = {}
    ids: set[str] = set()
    for number, offset, data in _objects(path, digest):
        where = f"{path}:{number}"
        for name in ("id", "problem_id", "program"):
            if not isinstance(data.get(name), str):
                raise LabelError(f"{where}: {name!r} is missing or no string")
        thoughts = data.get("thoughts")
        if not isinstance(thoughts, list) or not all(isinstance(t, str) for t in thoughts):
            raise LabelError(f"{where}: 'thoughts' is missing or no list of strings")
        if data["id"] in ids:
            raise LabelError(f"{where}: trace {data['id']!r} is there twice")
        ids.add(data["id"])
        problem_id = data["problem_id"]
        if problem_id not in groups:
            if problem_id not in problems:
                raise LabelError(f"{where}: problem {problem_id!r} is not in {problems.path}")
            problems.get(problem_id)  # its tests are read now, not after an hour of running
            groups[problem_id] = []
        groups[problem_id].append(offset)
    if not groups:
        raise LabelError(f"{path}: no traces in it")
    return groups, {"traces": digest.hexdigest(), "problems": problems.digest.hexdigest()}


def _objects(path: Path, digest: Any) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(line number, offset, object) for each line of a JSON Lines file. Raises LabelError."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except FileNotFoundError:
        raise LabelError(f"{path}: no such file") from None
    with file:
        offset = 0
        for number, line in enumerate(file, 1):
            digest.update(line)
            if line.strip():
                try:
                    data = parse(line)
                except (ValueError, RecursionError) as error:
                    raise LabelError(f"{path}:{number}: no whole JSON object ({error})") from error
                if not isinstance(data, dict):
                    raise LabelError(f"{path}:{number}: a JSON object is expected on each line")
                yield number, offset, data
            offset += len(line)


# Running and writing


@dataclass
class _Group:
    """A problem whose programs are being judged."""

    problem_id: str
    keys: list[str]  # of its traces, in their order
    waiting: set[str]


class _Run:
    def __init__(
        self,
        engine: Engine,
        store: ResultStore,
        earlier: StoredReports,
        out: AppendFile,
        problems: _Problems,
        trace_file: Any,
        groups: dict[str, list[int]],
        progress: Progress | None,
    ) -> None:
        self.engine, self.store, self.earlier, self.out = engine, store, earlier, out
        self.problems, self.trace_file, self.groups = problems, trace_file, groups
        self.progress = progress
        self.summary = LabelSummary(tier=engine.tier)
        self.open: deque[_Group] = deque()
        self.failed: dict[str, Report] = {}  # reports with an IE verdict, after the last retry
        self.attempts: Counter[str] = Counter()
        self.again: deque[Job] = deque()
        self.pending: dict[str, Job] = {}
        self.total = sum(map(len, groups.values()))
        self.finished = 0

    def go(self, done: list[str]) -> LabelSummary:
        self.finished = self.summary.traces = sum(len(self.groups[p]) for p in done)
        self._tell()
        there = set(done)
        jobs = self._jobs([p for p in self.groups if p not in there])
        while True:
            for report in self.engine.run(jobs):
                self._take(report)
            # The engine has emptied its hands; what broke at the very end is tried once more.
            if not self.again:
                break
            jobs = self._retries()
        self._write_finished()
        return self.summary

    def _jobs(self, problem_ids: list[str]) -> Iterator[Job]:
        seen: set[str] = set()
        for problem_id in problem_ids:
            yield from self._retries()
            problem = self.problems.get(problem_id)
            group = _Group(problem_id, [], set())
            fresh: dict[str, Job] = {}
            for trace in self._traces(problem_id):
                job = problem.job("", trace["program"])
                key = job_key(job, self.engine.tier)
                group.keys.append(key)
                if key not in self.store and key in self.earlier:
                    self.store.put(key, self.earlier.get(key))
                if key not in self.store and key not in self.failed:
                    group.waiting.add(key)
                    if key not in self.pending:
                        fresh[key] = problem.job(key, job.program)
                elif key not in seen and key in self.store:
                    self.summary.programs_reused += key not in seen
                    self._count(self.store.get(key))
                seen.add(key)
            self.pending.update(fresh)
            self.open.append(group)
            yield from fresh.values()
            self._write_finished()

    def _retries(self) -> Iterator[Job]:
        while self.again:
            yield self.again.popleft()

    def _take(self, report: Report) -> None:
        key = report.id
        if report.internal_error and self.attempts[key] < RETRIES:
            self.attempts[key] += 1
            self.again.append(self.pending[key])
            return
        del self.pending[key]
        self.summary.programs_run += 1
        self._count(report)
        if report.internal_error:
            self.failed[key] = report
        else:
            self.store.put(key, report)
        for group in self.open:
            group.waiting.discard(key)
        self._write_finished()

    def _count(self, report: Report) -> None:
        self.summary.verdicts.update(str(t.verdict) for t in report.tests)

    def _write_finished(self) -> None:
        while self.open and not self.open[0].waiting:
            self._write(self.open.popleft())

    def _write(self, group: _Group) -> None:
        reports = {k: self.store.get(k) for k in set(group.keys) if k in self.store}
        kept = [
            (trace, reports[key])
            for trace, key in zip(self._traces(group.problem_id), group.keys, strict=True)
            if key in reports
        ]
        public = self.problems.get(group.problem_id).public
        lines = labelled(kept, public)
        if lines:
            self.out.append(lines)
        excluded = len(group.keys) - len(kept)
        self.store.mark({"problem": group.problem_id, "end": self.out.end, "excluded": excluded})
        self.summary.excluded += excluded
        self.summary.traces += len(kept)
        self.finished += len(group.keys)
        self._tell()

    def _traces(self, problem_id: str) -> Iterator[dict[str, Any]]:
        for offset in self.groups[problem_id]:
            self.trace_file.seek(offset)
            yield json.loads(self.trace_file.readline())

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.finished, self.total)


def labelled(
    rollouts: list[tuple[dict[str, Any], Report]], public: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The traces of one problem with their labels, outcome and public feedback.

    Args:
      rollouts: each trace with the report of its program, none of which has an IE verdict.
      public: ids of the public tests.
    """
    counts: dict[tuple[str, ...], list[float]] = {}
    for trace, report in rollouts:
        for prefix in _prefixes(trace):
            count = counts.setdefault(prefix, [0, 0, 0.0])
            count[0] += report.all_passed
            count[1] += 1
            count[2] += report.pass_rate
    lines = []
    for trace, report in rollouts:
        steps = [
            dict(zip(("passes", "trials", "pass_rate_sum"), counts[p], strict=True))
            for p in _prefixes(trace)
        ]
        outcome = {"passes": report.passes, "trials": report.trials, "tier": report.tier}
        shown = [t for t in report.tests if t.id in public]
        lines.append(
            {**trace, "steps": steps, "outcome": outcome, "public": public_feedback(shown)}
        )
    return lines


def public_feedback(results: list[TestResult]) -> dict[str, Any]:
    """What a policy may see of a program's run: counts and the first failing public tests."""
    failures = [r for r in results if not r.passed][:MAX_FAILURES]
    names = ("id", "verdict", "input", "expected", "actual", "stderr")
    return {
        "passed": sum(r.verdict is Verdict.AC for r in results),
        "total": len(results),
        "failures": [{name: r.to_json()[name] for name in names} for r in failures],
    }


def _prefixes(trace: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    thoughts = tuple(trace["thoughts"])
    return (thoughts[: j + 1] for j in range(len(thoughts)))
