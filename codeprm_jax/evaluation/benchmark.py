"""The GVR benchmark: arms on the same problems, the same samples and the same budget.

An arm is a way to spend the budget. Searches run side by side, so that the policy, the sandbox and
the scorer are busy at once. The private tests judge every program after its search has ended;
nothing of them flows back.

Files in a run's folder:

- settings.json: what must not change between two starts;
- statements.json: the problems' public statements, for the report;
- events/: a log a problem, see `search.events`;
- verdicts.jsonl: private verdicts, by problem and program;
- results.jsonl, results.parquet: a search a line, sorted when the run is complete;
- stages.json: for each start, how busy each stage was;
- summary.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codeprm_jax.evaluation.summary import summarise
from codeprm_jax.files import (
    InputError,
    append_jsonl,
    iterate_valid_prefix,
    listed,
    parse_line,
    read_json,
    stable_seed,
    write_json,
    write_whole,
)
from codeprm_jax.policies.policy import Policy
from codeprm_jax.problems.problem import Problem
from codeprm_jax.scoring.scorer import Scorer
from codeprm_jax.search import event_loop
from codeprm_jax.search.arms import CORE_ARMS, Arm, run_arm
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.execution import Execution, Judge
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.ledger import Budget
from codeprm_jax.search.scoring import open_scoring
from codeprm_jax.search.search import Search
from codeprm_jax.search.stages import Stage

logger = logging.getLogger(__name__)

SETTINGS, RESULTS, SUMMARY = "settings.json", "results.jsonl", "summary.json"
TABLE, STAGES, VERDICTS, EVENTS = "results.parquet", "stages.json", "verdicts.jsonl", "events"
STATEMENTS = "statements.json"


@dataclass(frozen=True)
class BenchmarkConfig:
    """Size of the benchmark.

    Attributes:
      budget: of every arm on every problem.
      repeats: independent searches a problem and arm.
      seed: of all draws; not that of the training traces.
      concurrency: searches under way at once; changes no result.
    """

    budget: Budget = Budget()
    repeats: int = 5
    seed: int = 1
    concurrency: int = 64

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.concurrency < 1:
            raise InputError("repeats and concurrency must be at least 1")


@dataclass(frozen=True)
class SearchPreset:
    """What a preset under configs/ says of a benchmark: the arms to compare, and its size."""

    arms: tuple[Arm, ...]
    benchmark: BenchmarkConfig = BenchmarkConfig()


def run_benchmark(
    problems: Sequence[Problem],
    groups: Mapping[str, str],
    policy: Policy,
    judge: Judge,
    scorer: Scorer | None,
    out: Path,
    arms: Sequence[Arm] = CORE_ARMS,
    config: BenchmarkConfig = BenchmarkConfig(),
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, Any]:
    """Runs every search that `out` does not hold yet; returns and writes the summary.

    A run that was killed goes on: what it has asked of policy, sandbox and scorer is not asked
    again. Arms and repeats may be added to a run, everything else must stay.

    Args:
      groups: problem id -> group to report it under, such as "seen problems".
      judge: runs public tests for the searches and private tests for the verdicts.
      scorer: None if no arm asks a PRM.
      out: folder, see the module.
      progress: called with the number of searches done, first with those done before.

    Raises:
      InputError: `out` is no folder of ours or was begun with other settings, or an arm asks a PRM
        that is not there or cannot read what the arm shows it.
      RunError: the sandbox, the policy's server or the scorer's failed for good.
    """
    out = Path(out)
    _check_arms(arms, scorer)
    _check_settings(out, problems, groups, policy, scorer, arms, config)
    write_json(out / STATEMENTS, {p.id: p.public.statement for p in problems})
    done = {_key(r) for r in iterate_valid_prefix(out / RESULTS)}
    todo = [
        (problem, repeat, arm)
        for problem in problems
        for repeat in range(config.repeats)
        for arm in arms
        if (problem.id, repeat, arm.name) not in done
    ]
    progress(len(problems) * config.repeats * len(arms) - len(todo))
    if todo:
        event_loop.run(_run(todo, groups, policy, judge, scorer, out, config, progress))
    records = _sort(out / RESULTS, problems, arms)
    _write_table(out / TABLE, records)
    # An earlier start may have had more repeats: arms are compared on those that all of them have.
    compared = [r for r in records if r["repeat"] < config.repeats]
    summary = summarise(compared, policy, [a.name for a in arms], config.budget)
    summary["repeats"], summary["seed"] = config.repeats, config.seed
    write_json(out / SUMMARY, summary)
    return summary


_Todo = tuple[Problem, int, Arm]


async def _run(
    todo: Sequence[_Todo],
    groups: Mapping[str, str],
    policy: Policy,
    judge: Judge,
    scorer: Scorer | None,
    out: Path,
    config: BenchmarkConfig,
    progress: Callable[[int], None],
) -> None:
    began = time.perf_counter()
    verdicts = EventLog(out / VERDICTS)
    logs = _Logs(out / EVENTS, todo)
    async with contextlib.AsyncExitStack() as stack:
        generation = await stack.enter_async_context(Generation(policy))
        execution = stack.enter_context(Execution(judge))
        scoring = None
        if scorer is not None:
            scoring = await stack.enter_async_context(open_scoring(scorer))

        async def search(problem: Problem, repeat: int, arm: Arm) -> None:
            found = Search(
                problem.public,
                stable_seed("search", config.seed, repeat, problem.id),
                config.budget,
                generation,
                execution,
                logs.of(problem.id),
                scoring,
                arm.stop_at_pass,
                arm.aggregate if arm.rank else None,
            )
            await run_arm(arm, found)
            record = await _judged(problem, repeat, arm, found, execution, verdicts)
            record["group"] = groups[problem.id]
            append_jsonl(out / RESULTS, [record])
            logs.release(problem.id)
            progress(1)

        try:
            await _at_once(iter(todo), search, config.concurrency)
        finally:
            seconds = time.perf_counter() - began
            stages = [generation.stage, execution.stage] + ([scoring.stage] if scoring else [])
            _note_start(out / STAGES, seconds, stages, policy.counts())


async def _at_once(
    todo: Iterator[_Todo], work: Callable[[Problem, int, Arm], Any], concurrency: int
) -> None:
    """`work` on everything, `concurrency` at once; the first error ends it, as itself."""

    async def worker() -> None:
        for item in todo:
            await work(*item)

    tasks = [asyncio.create_task(worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _judged(
    problem: Problem,
    repeat: int,
    arm: Arm,
    search: Search,
    execution: Execution,
    verdicts: EventLog,
) -> dict[str, Any]:
    """The record of a search that has ended, with private verdicts on all of its programs."""

    async def verdict(program: str) -> dict[str, int]:
        async def answer() -> dict[str, int]:
            report = await execution.run(problem.final_job(problem.id, program))
            return {"passed": report.passes, "total": report.trials}

        return await verdicts.once("verdict", [problem.id, program], answer)

    found = search.to_json()
    private = await asyncio.gather(*(verdict(a.program) for a in search.attempts))
    for attempt, passed in zip(found["attempts"], private, strict=True):
        attempt["private"] = passed
    nothing = {"passed": 0, "total": len(problem.private.tests)}
    return {
        "problem_id": problem.id,
        "repeat": repeat,
        "arm": arm.name,
        "private": nothing if search.answer is None else private[search.answer],
        **found,
    }


class _Logs:
    """Event logs by problem, in memory only while a search of the problem is to be done."""

    def __init__(self, folder: Path, todo: Sequence[_Todo]) -> None:
        self._folder = folder
        self._left = Counter(problem.id for problem, _, _ in todo)
        self._open: dict[str, EventLog] = {}

    def of(self, problem_id: str) -> EventLog:
        if problem_id not in self._open:
            self._open[problem_id] = EventLog(self._folder / f"{file_name(problem_id)}.jsonl")
        return self._open[problem_id]

    def release(self, problem_id: str) -> None:
        self._left[problem_id] -= 1
        if not self._left[problem_id]:
            del self._open[problem_id]


def file_name(problem_id: str) -> str:
    """A file name for a problem: readable, and different for different ids."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", problem_id).strip(".")[:80]
    return plain if plain == problem_id else f"{plain}-{stable_seed(problem_id) % 16**8:08x}"


def _key(record: Mapping[str, Any]) -> tuple[str, int, str]:
    return record["problem_id"], record["repeat"], record["arm"]


def _sort(path: Path, problems: Sequence[Problem], arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Sorts results.jsonl, each search once; returns its records without their traces.

    By problem, repeat and arm; arms that this call did not name stay, at the end. The traces of
    thousands of problems do not fit in memory, so lines are copied and their records cut down.
    """
    place = {p.id: i for i, p in enumerate(problems)}
    order = {a.name: i for i, a in enumerate(arms)}

    def key(record: Mapping[str, Any]) -> tuple[int, int, int, str]:
        arm = record["arm"]
        return place[record["problem_id"]], record["repeat"], order.get(arm, len(order)), arm

    found: dict[tuple[str, int, str], tuple[dict[str, Any], int]] = {}
    with open(path, "rb") as file, write_whole(path) as ordered:
        while line := file.readline():
            record = _without_traces(parse_line(line.decode("utf-8"), str(path)))
            found[_key(record)] = record, file.tell() - len(line)
        chosen = sorted(found.values(), key=lambda item: key(item[0]))
        for _, offset in chosen:
            file.seek(offset)
            ordered.write(file.readline().decode("utf-8"))
    return [record for record, _ in chosen]


def _without_traces(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the summary and the table need of a record; the answer's program as `program`."""
    kept = ("sample", "parent", "node", "spent", "private")
    answer, attempts = record["answer"], record["attempts"]
    return {
        **{k: v for k, v in record.items() if k != "tree"},
        "program": "" if answer is None else attempts[answer]["program"],
        "attempts": [{k: a[k] for k in kept} for a in attempts],
    }


def _write_table(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """The searches without their traces, a row each."""
    import pyarrow
    import pyarrow.parquet

    rows = [
        {
            **{k: r[k] for k in ("problem_id", "group", "repeat", "arm", "ended")},
            "attempts": len(r["attempts"]),
            "private_passed": r["private"]["passed"],
            "private_total": r["private"]["total"],
            "solved": r["private"]["passed"] == r["private"]["total"],
            "program": r["program"],
            **{k: float(v) if k == "spent" else v for k, v in r["ledger"].items()},
        }
        for r in records
    ]
    temporary = path.with_suffix(".tmp")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), temporary)
    temporary.replace(path)


def _note_start(
    path: Path, seconds: float, stages: Sequence[Stage], policy: Mapping[str, Any]
) -> None:
    """Adds to stages.json how busy this start has kept everybody."""
    starts = read_json(path) if path.is_file() else []
    start = {"wall_seconds": round(seconds, 3), "stages": {s.name: s.to_json() for s in stages}}
    write_json(path, [*starts, {**start, "policy": policy}])


def _check_arms(arms: Sequence[Arm], scorer: Scorer | None) -> None:
    names = [arm.name for arm in arms]
    if not names or len(set(names)) != len(names):
        raise InputError(f"arms need names, each another one, not {listed(names) or 'none'}")
    asking = [arm.name for arm in arms if arm.asks_prm]
    if asking and scorer is None:
        raise InputError(f"{listed(asking)}: these arms ask a PRM; name a model, or leave them out")
    prefixes = [arm.name for arm in arms if arm.evaluate == "prm"]
    if prefixes and scorer is not None and "thoughts" not in scorer.views:
        raise InputError(
            f"{listed(prefixes)}: these arms score thoughts before there is a program, and the "
            f"model was trained to read {', '.join(scorer.views)} only; train it with "
            "views.thoughts above 0, or leave these arms out"
        )


def _check_settings(
    out: Path,
    problems: Sequence[Problem],
    groups: Mapping[str, str],
    policy: Policy,
    scorer: Scorer | None,
    arms: Sequence[Arm],
    config: BenchmarkConfig,
) -> None:
    settings: dict[str, Any] = {
        "policy": policy.name,
        "model": None if scorer is None else f"{scorer.fingerprint}, {scorer.view}",
        "budget": asdict(config.budget),
        "seed": config.seed,
        "problems": {p.id: [groups[p.id], stable_seed(p.to_json())] for p in problems},
        "arms": {arm.name: asdict(arm) for arm in arms},
    }
    path = out / SETTINGS
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder for the run")
    if not path.is_file() and any((out / n).exists() for n in (RESULTS, VERDICTS, EVENTS)):
        raise InputError(
            f"{out} holds what looks like a run and no {SETTINGS}, so nobody knows what it is of; "
            "name another folder"
        )
    if path.is_file():
        before = read_json(path)
        if not isinstance(before, dict):
            raise InputError(f"{path} is not the settings of a search; name another folder")
        earlier = before.get("arms", {})
        changed = [k for k in settings if k != "arms" and before.get(k) != settings[k]]
        changed += [
            f"arm {name!r}"
            for name, arm in settings["arms"].items()
            if name in earlier and earlier[name] != arm
        ]
        if changed:
            raise InputError(
                f"{out} was begun with another {listed(changed)}; name another folder or remove it"
            )
        settings["arms"] = {**earlier, **settings["arms"]}
    write_json(path, settings)
