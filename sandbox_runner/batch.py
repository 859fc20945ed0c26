"""jobs.jsonl to reports.jsonl, resumable by job id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox_runner import judge
from sandbox_runner.engine import Engine, given_or_pool
from sandbox_runner.store import AppendFile, StoreError, is_torn, parse, read_lines
from sandbox_runner.types import Job, JobFormatError


@dataclass
class BatchSummary:
    """What a run did.

    Attributes:
      judged: jobs that were run now.
      reused: jobs whose report was in the file already.
      unjudged: jobs on which the judge failed (IE); they are not in the file.
      verdicts: verdicts of single tests, of the jobs that were run now.
      tier: the isolation of this run.
    """

    judged: int = 0
    reused: int = 0
    unjudged: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    tier: str = ""


def run(
    jobs_path: str | Path,
    out_path: str | Path,
    *,
    workers: int | None = None,
    allow_weak_isolation: bool = False,
    engine: Engine | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BatchSummary:
    """Appends a report to `out_path` for each job that has none there yet.

    Args:
      workers, allow_weak_isolation: of a Pool of its own, opened where there is no engine.
      engine: runs the jobs, and stays open.
      progress: called with (jobs done, jobs in all).

    Raises:
      JobFormatError: a line that is no job, with file and line; nothing was run.
      StoreError: the file holds reports of other jobs, or something else, or is the file of the
        jobs, or is being written by another run.
      jail.IsolationError: see `Pool`.
      EngineError: the engine cannot go on. What was finished is kept.
      OSError: reading or writing failed. What was finished is kept.
    """
    jobs_path, out_path = Path(jobs_path), Path(out_path)
    offsets = _index(jobs_path)
    summary = BatchSummary()
    with AppendFile(out_path, _is_report, (b'{"id":',), (jobs_path,)) as out:
        done = {record["id"] for record, _, _ in read_lines(out_path)}
        if foreign := sorted(done - set(offsets)):
            raise StoreError(
                f"{out_path} holds reports of jobs that are not in {jobs_path} (such as "
                f"{foreign[0]!r}); choose another --out or move it away"
            )
        beginnings = (f'{{"id":{json.dumps(job_id)},'.encode() for job_id in offsets)
        if out.torn and not is_torn(out.torn, beginnings):
            raise StoreError(
                f"the last line of {out_path} is no report on a job of {jobs_path}, so nothing was "
                "changed; choose another --out or move it away"
            )
        out.truncate(out.end)
        summary.reused = len(done)
        with given_or_pool(engine, workers, allow_weak_isolation) as judges:
            summary.tier = judges.tier
            left = [offset for job_id, offset in offsets.items() if job_id not in done]
            for report in judges.run(_read(jobs_path, left)):
                if report.internal_error:
                    summary.unjudged += 1
                else:
                    out.append([report.to_json()])
                    summary.judged += 1
                summary.verdicts.update(str(t.verdict) for t in report.tests)
                if progress is not None:
                    finished = summary.reused + summary.judged + summary.unjudged
                    progress(finished, len(offsets))
    return summary


def _is_report(record: dict[str, Any]) -> bool:
    match record:
        case {"id": str(), "tier": "T1" | "T2" | "T3", "passes": int(), "tests": [{}, *_]}:
            return True
    return False


def _index(path: Path) -> dict[str, int]:
    """{job id: offset of its line}; every job is validated before the first one is run."""
    offsets: dict[str, int] = {}
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except FileNotFoundError:
        raise JobFormatError(f"{path}: no such file") from None
    with file:
        offset = 0
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    job = Job.from_json(parse(line))
                    judge.check_job(job)
                except JobFormatError as error:
                    raise JobFormatError(f"{path}:{number}: {error}") from error
                except (ValueError, RecursionError) as error:
                    raise JobFormatError(
                        f"{path}:{number}: no whole JSON object ({error})"
                    ) from error
                if job.id in offsets:
                    raise JobFormatError(f"{path}:{number}: job {job.id!r} is there twice")
                offsets[job.id] = offset
            offset += len(line)
    if not offsets:
        raise JobFormatError(f"{path}: no jobs in it")
    return offsets


def _read(path: Path, offsets: list[int]) -> Iterator[Job]:
    with open(path, "rb") as file:
        for offset in offsets:
            file.seek(offset)
            yield Job.from_json(json.loads(file.readline()))
