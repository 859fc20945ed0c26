"""The GVR benchmark: arms on the same problems, the same samples and the same execution budget.

An arm is a way to spend the budget. The private tests judge each arm's answer after its search has
ended; nothing of them flows back.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from codeprm_jax.evaluation.bootstrap import mean_interval
from codeprm_jax.files import (
    InputError,
    append_jsonl,
    read_json,
    read_valid_prefix,
    stable_seed,
    write_json,
    write_jsonl,
)
from codeprm_jax.policies.policy import Policy
from codeprm_jax.problems.problem import Problem
from codeprm_jax.scoring.scorer import Scorer
from codeprm_jax.search.best_of_n import Search, SearchConfig, best_of_n
from codeprm_jax.search.execution import InternalJudgeError, Judge, PublicExecutor
from codeprm_jax.search.refine import LastStep, LowestScore, RandomStep, StepChooser

logger = logging.getLogger(__name__)

RESULTS = "results.jsonl"
SUMMARY = "summary.json"
_SETTINGS = "settings.json"

FIRST_SAMPLE = "first sample"
TESTS_ONLY = "best-of-N by public tests"
GVR_RANDOM = "GVR random"
GVR_LAST = "GVR last"
GVR_PRM = "GVR PRM"
ARMS = (FIRST_SAMPLE, TESTS_ONLY, GVR_RANDOM, GVR_LAST, GVR_PRM)


@dataclass(frozen=True)
class BenchmarkConfig:
    """Size of the benchmark.

    Attributes:
      max_executions: the budget of every arm on every problem.
      max_think_times: rewrites of one sample before a fresh one.
      repeats: independent searches a problem and arm.
      seed: of all draws; not that of the training traces.
    """

    max_executions: int = 8
    max_think_times: int = 2
    repeats: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise InputError("repeats must be at least 1")
        SearchConfig(self.max_executions, self.max_think_times)  # refuses nonsense


def run_benchmark(
    problems: Sequence[Problem],
    groups: Mapping[str, str],
    policy: Policy,
    judge: Judge,
    scorer: Scorer,
    model: str,
    out: Path,
    config: BenchmarkConfig = BenchmarkConfig(),
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, Any]:
    """Runs every arm and repeat that `out` does not hold yet; returns and writes the summary.

    Args:
      groups: problem id -> group to report it under, such as "seen problems".
      judge: runs public tests for the searches and private tests for the verdicts.
      model: fingerprint of the scorer's model; another one is another benchmark.
      out: folder for results.jsonl (one search a line) and summary.json.
      progress: called with 1 after every arm and repeat.

    Raises:
      InputError: `out` was begun with other settings.
      InternalJudgeError: the sandbox failed on an answer.
    """
    out = Path(out)
    _check_settings(out, problems, groups, policy, model, config)
    done = {(r["arm"], r["repeat"]) for r in _whole_blocks(out / RESULTS, len(problems))}
    executor = PublicExecutor(judge)
    for repeat in range(config.repeats):
        for arm in ARMS:
            if (arm, repeat) not in done:
                chooser, search_config = _arm(arm, scorer, config)
                seed = config.seed * 1_000_003 + repeat
                public = [p.public for p in problems]
                searches = best_of_n(public, policy, executor, chooser, search_config, seed)
                verdicts = _final_verdicts(problems, searches, judge)
                records = [
                    {
                        "arm": arm,
                        "repeat": repeat,
                        "problem_id": problem.id,
                        "group": groups[problem.id],
                        "private": {"passed": passed, "total": total},
                        **search.to_json(),
                    }
                    for problem, search, (passed, total) in zip(
                        problems, searches, verdicts, strict=True
                    )
                ]
                append_jsonl(out / RESULTS, records)
            progress(1)
    summary = summarise(read_valid_prefix(out / RESULTS), policy.name, config)
    write_json(out / SUMMARY, summary)
    return summary


def summarise(
    records: Sequence[Mapping[str, Any]], policy: str, config: BenchmarkConfig
) -> dict[str, Any]:
    """Per group and arm: pass@1, mean private pass rate, spending, and paired differences.

    Intervals are 95 % bootstrap intervals over problems; `versus` gives the paired difference in
    pass@1 to other arms on the same problems and samples.
    """
    groups: dict[str, Any] = {}
    for group in sorted({r["group"] for r in records}):
        solved = {arm: _by_problem(records, group, arm, _solved) for arm in ARMS}
        arms = {}
        for arm in ARMS:
            members = [r for r in records if r["group"] == group and r["arm"] == arm]
            rate = _by_problem(records, group, arm, _pass_rate)
            arms[arm] = {
                "searches": len(members),
                "pass_at_1": mean_interval(list(solved[arm].values())),
                "pass_rate": mean_interval(list(rate.values())),
                "spent": {
                    key: float(np.mean([m["ledger"][key] for m in members]))
                    for key in ("generated_tokens", "executions", "scored_tokens")
                },
                "refinements": {
                    key: sum(m["refinements"][key] for m in members)
                    for key in ("helped", "harmed", "neutral")
                },
            }
        versus = {
            f"{first} - {second}": mean_interval(
                [solved[first][p] - solved[second][p] for p in sorted(solved[first])]
            )
            for first, second in (
                (GVR_PRM, GVR_RANDOM),
                (GVR_PRM, GVR_LAST),
                (GVR_PRM, TESTS_ONLY),
                (TESTS_ONLY, FIRST_SAMPLE),
            )
        }
        groups[group] = {"problems": len(solved[ARMS[0]]), "arms": arms, "versus": versus}
    return {"policy": policy, "config": asdict(config), "groups": groups}


def _arm(
    name: str, scorer: Scorer, config: BenchmarkConfig
) -> tuple[StepChooser | None, SearchConfig]:
    search = SearchConfig(config.max_executions, config.max_think_times)
    choosers: dict[str, StepChooser | None] = {
        FIRST_SAMPLE: None,
        TESTS_ONLY: None,
        GVR_RANDOM: RandomStep(),
        GVR_LAST: LastStep(),
        GVR_PRM: LowestScore(scorer),
    }
    if name == FIRST_SAMPLE:
        search = replace(search, max_samples=1)
    return choosers[name], search


def _final_verdicts(
    problems: Sequence[Problem], searches: Sequence[Search], judge: Judge
) -> list[tuple[int, int]]:
    """(passed, total) private tests of each search's answer."""
    jobs = [
        problem.final_job(str(i), search.attempts[search.answer].program)
        for i, (problem, search) in enumerate(zip(problems, searches, strict=True))
    ]
    verdicts: dict[int, tuple[int, int]] = {}
    for report in judge.run(jobs):
        if report.internal_error:
            raise InternalJudgeError(
                f"the sandbox failed on an answer for {problems[int(report.id)].id}"
            )
        verdicts[int(report.id)] = (report.passes, report.trials)
    return [verdicts[i] for i in range(len(problems))]


def _check_settings(
    out: Path,
    problems: Sequence[Problem],
    groups: Mapping[str, str],
    policy: Policy,
    model: str,
    config: BenchmarkConfig,
) -> None:
    settings = {
        "policy": policy.name,
        "config": asdict(config),
        "model": model,
        "problems": {p.id: [groups[p.id], stable_seed(p.to_json())] for p in problems},
    }
    path = out / _SETTINGS
    if path.is_file() and read_json(path) != settings:
        raise InputError(f"{out} was begun with other settings; name another folder or remove it")
    write_json(path, settings)


def _whole_blocks(path: Path, size: int) -> list[dict[str, Any]]:
    """Results of complete (arm, repeat) blocks; a block that a kill cut short is taken out."""
    records = read_valid_prefix(path)
    blocks: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        blocks[record["arm"], record["repeat"]].append(record)
    whole = [r for block in blocks.values() if len(block) == size for r in block]
    if len(whole) < len(records):
        logger.info("%s: a block of searches was cut short and will run again", path)
        write_jsonl(path, whole)
    return whole


def _by_problem(
    records: Sequence[Mapping[str, Any]],
    group: str,
    arm: str,
    value: Callable[[Mapping[str, Any]], float],
) -> dict[str, float]:
    """Mean over repeats of `value`, by problem id."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record["group"] == group and record["arm"] == arm:
            values[record["problem_id"]].append(value(record))
    return {problem: float(np.mean(v)) for problem, v in sorted(values.items())}


def _solved(record: Mapping[str, Any]) -> float:
    return float(record["private"]["passed"] == record["private"]["total"])


def _pass_rate(record: Mapping[str, Any]) -> float:
    return record["private"]["passed"] / record["private"]["total"]
