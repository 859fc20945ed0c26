from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from codeprm_jax.data.layout import StepInput
from codeprm_jax.evaluation.benchmark import (
    ARMS,
    FIRST_SAMPLE,
    RESULTS,
    BenchmarkConfig,
    run_benchmark,
)
from codeprm_jax.files import InputError, read_jsonl
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.problem import Problem
from codeprm_jax.scoring.scorer import StepScores
from sandbox_runner.pool import Pool
from sandbox_runner.types import Job, Report

CONFIG = BenchmarkConfig(max_executions=3, repeats=2)


class ConstantScorer:
    def score_each(self, inputs: Sequence[StepInput]) -> list[StepScores]:
        return [StepScores(np.full(len(i.thoughts), 0.5, np.float32), 7) for i in inputs]


class Interrupting:
    """A pool that is interrupted after some calls."""

    def __init__(self, pool: Pool, calls: int) -> None:
        self.pool, self.calls = pool, calls

    def run(self, jobs: Iterable[Job]) -> Iterable[Report]:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return self.pool.run(jobs)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> Path:
    out = tmp_path_factory.mktemp("search")
    run(out, pool, some_problems, bank_policy)
    return out


def run(out: Path, judge: object, problems: list[Problem], policy: MutationPolicy) -> dict:  # type: ignore[type-arg]
    groups = {p.id: "seen problems" if i % 2 else "unseen" for i, p in enumerate(problems)}
    return run_benchmark(problems, groups, policy, judge, ConstantScorer(), "constant", out, CONFIG)


def test_every_arm_meets_every_problem_within_the_budget(
    finished: Path, some_problems: list[Problem]
) -> None:
    records = list(read_jsonl(finished / RESULTS))
    keys = {(r["arm"], r["repeat"], r["problem_id"]) for r in records}
    assert len(keys) == len(records) == len(ARMS) * CONFIG.repeats * len(some_problems)
    for record in records:
        limit = 1 if record["arm"] == FIRST_SAMPLE else CONFIG.max_executions
        assert record["ledger"]["executions"] == len(record["attempts"]) <= limit
        assert record["private"]["total"] >= 1


def test_verdicts_are_those_of_the_private_tests(
    finished: Path, some_problems: list[Problem], pool: Pool
) -> None:
    by_id = {p.id: p for p in some_problems}
    for record in list(read_jsonl(finished / RESULTS))[::9]:
        program = record["attempts"][record["answer"]]["program"]
        (report,) = pool.run([by_id[record["problem_id"]].final_job("x", program)])
        assert report.passes == record["private"]["passed"]
        assert all(t.id.startswith("private") for t in report.tests)


def test_summary_is_the_mean_of_the_records(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    records = list(read_jsonl(finished / RESULTS))
    for name, group in summary["groups"].items():
        for arm, values in group["arms"].items():
            members = [r for r in records if r["group"] == name and r["arm"] == arm]
            solved = [r["private"]["passed"] == r["private"]["total"] for r in members]
            mean, low, high = values["pass_at_1"]
            assert mean == pytest.approx(np.mean(solved)) and low <= mean <= high
            spent = np.mean([r["ledger"]["executions"] for r in members])
            assert values["spent"]["executions"] == pytest.approx(spent)


@pytest.mark.parametrize("calls", [0, 3, 10])
def test_an_interrupted_benchmark_goes_on_to_the_same_results(
    calls: int,
    finished: Path,
    tmp_path: Path,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(pool, calls), some_problems, bank_policy)
    if (tmp_path / RESULTS).exists():  # a kill inside a write
        content = (tmp_path / RESULTS).read_bytes()
        (tmp_path / RESULTS).write_bytes(content[:-40])
    run(tmp_path, pool, some_problems, bank_policy)
    assert list(read_jsonl(tmp_path / RESULTS)) == list(read_jsonl(finished / RESULTS))


def test_other_settings_are_refused(
    finished: Path, pool: Pool, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    with pytest.raises(InputError, match="other settings"):
        run(finished, pool, some_problems[:3], bank_policy)
