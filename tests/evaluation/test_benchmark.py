from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from codeprm_jax.evaluation.benchmark import (
    EVENTS,
    RESULTS,
    STAGES,
    TABLE,
    VERDICTS,
    BenchmarkConfig,
    file_name,
    run_benchmark,
)
from codeprm_jax.evaluation.summary import pass_at_k, summarise
from codeprm_jax.files import InputError, read_jsonl, write_jsonl
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import ProposeRequest, Thoughts
from codeprm_jax.problems.problem import Problem
from codeprm_jax.search import arms
from codeprm_jax.search.arms import CORE_ARMS, Arm
from codeprm_jax.search.execution import Judge
from codeprm_jax.search.ledger import Budget
from codeprm_jax.search.search import MAX_FAILED_DRAWS
from sandbox_runner.pool import Pool
from sandbox_runner.types import Job, Report
from tests.search.fakes import FakeScorer

ARMS = (*CORE_ARMS, arms.SAMPLING, arms.BEAM_PRM)
CONFIG = BenchmarkConfig(Budget(3), repeats=2, concurrency=8)


class Interrupting:
    """A pool that is interrupted after some jobs."""

    def __init__(self, pool: Pool, jobs: int) -> None:
        self.pool, self.jobs, self.workers = pool, jobs, pool.workers

    def run(self, jobs: Iterable[Job]) -> Iterator[Report]:
        self.jobs -= 1
        if self.jobs < 0:
            raise KeyboardInterrupt
        yield from self.pool.run(jobs)


def run(
    out: Path,
    judge: Judge,
    problems: list[Problem],
    policy: MutationPolicy,
    chosen: tuple[Arm, ...] = ARMS,
    config: BenchmarkConfig = CONFIG,
) -> dict[str, Any]:
    groups = {p.id: "seen problems" if i % 2 else "unseen" for i, p in enumerate(problems)}
    return run_benchmark(problems, groups, policy, judge, FakeScorer(), out, chosen, config)


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


def test_every_arm_meets_every_problem_within_the_budget(
    finished: Path, some_problems: list[Problem]
) -> None:
    records = list(read_jsonl(finished / RESULTS))
    keys = [(r["problem_id"], r["repeat"], r["arm"]) for r in records]
    assert keys == [(p.id, n, a.name) for p in some_problems for n in range(2) for a in ARMS]
    for record in records:
        limit = 1 if record["arm"] == arms.CHAIN_OF_THOUGHT.name else 3
        assert record["ledger"]["executions"] == len(record["attempts"]) <= limit
        assert record["private"]["total"] >= 1


def test_verdicts_are_those_of_the_private_tests(
    finished: Path, some_problems: list[Problem], pool: Pool
) -> None:
    by_id = {p.id: p for p in some_problems}
    for record in list(read_jsonl(finished / RESULTS))[::9]:
        assert record["private"] == record["attempts"][record["answer"]]["private"]
        for attempt in record["attempts"]:
            job = by_id[record["problem_id"]].final_job("x", attempt["program"])
            (report,) = pool.run([job])
            assert report.passes == attempt["private"]["passed"]
            assert all(t.id.startswith("private") for t in report.tests)


def test_searches_run_public_tests_only(finished: Path, some_problems: list[Problem]) -> None:
    """Invariant 1: what the logs of the searches hold is of public tests."""
    for problem in some_problems:
        for event in read_jsonl(finished / EVENTS / f"{file_name(problem.id)}.jsonl"):
            if event["kind"] == "execute":
                shown = {f["id"] for f in event["answer"]["failures"]}
                assert shown <= {t.id for t in problem.public.tests}
                assert event["answer"]["total"] == len(problem.public.tests)


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
            assert values["most_spent"] <= 3
            # The curve ends at the result, and a smaller budget would have given the first answers.
            levels, rates = zip(*values["curve"], strict=True)
            assert levels == (1, 2, 3) and rates[-1] == pytest.approx(mean)
            first = [r["attempts"][0]["private"] for r in members]
            rate = np.mean([p["passed"] == p["total"] for p in first])
            assert rates[0] == pytest.approx(rate)
        assert group["arms"]["chain of thought"]["curve"] != []
        versus, both = group["versus"], ("GVR PRM", "GVR random")
        for first, second in (both, both[::-1]):
            of = [group["arms"][a]["pass_at_1"][0] for a in (first, second)]
            assert versus[f"{first} - {second}"][0] == pytest.approx(of[0] - of[1])


def test_the_table_holds_a_row_a_search(finished: Path) -> None:
    rows = pyarrow.parquet.read_table(finished / TABLE).to_pylist()
    records = list(read_jsonl(finished / RESULTS))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert row["arm"] == record["arm"] and row["executions"] == len(record["attempts"])
        assert row["program"] == record["attempts"][record["answer"]]["program"]


def test_stages_say_how_busy_they_were(finished: Path) -> None:
    (start,) = json.loads((finished / STAGES).read_text())
    stages = start["stages"]
    assert set(stages) == {"generation", "execution", "scoring"}
    for stage in stages.values():
        assert stage["done"] > 0
        assert stage["busy_seconds"] <= min(stage["worked_seconds"], start["wall_seconds"]) + 0.01
        assert stage["worked_seconds"] <= stage["capacity"] * start["wall_seconds"]


@pytest.mark.parametrize("jobs", [0, 7, 40])
def test_an_interrupted_benchmark_goes_on_to_the_same_results(
    jobs: int,
    finished: Path,
    tmp_path: Path,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(pool, jobs), some_problems, bank_policy)
    for path in [tmp_path / RESULTS, tmp_path / VERDICTS, *(tmp_path / EVENTS).glob("*.jsonl")]:
        if path.exists():  # a kill inside a write
            path.write_bytes(path.read_bytes()[:-40])
    run(tmp_path, pool, some_problems, bank_policy)
    assert (tmp_path / RESULTS).read_bytes() == (finished / RESULTS).read_bytes()


_KILLED = """
import sys, time
from pathlib import Path
from tests.evaluation.test_benchmark import CONFIG, Slow, run
from codeprm_jax.problems.bank import ENTRIES
from sandbox_runner.pool import Pool

entries = ENTRIES[:3]
with Pool(2, allow_weak_isolation=True) as pool:
    policy = Slow({e.chain.problem_id: e.chain for e in entries})
    run(Path(sys.argv[1]), pool, [e.problem for e in entries], policy)
"""


class Slow(MutationPolicy):
    """Takes a while, and writes down what it was asked; where `ASKED` says."""

    async def propose(self, request: ProposeRequest) -> Thoughts:
        time.sleep(0.005)
        if path := os.environ.get("ASKED"):
            with open(path, "a") as file:
                file.write(f"{request.problem.id} {request.prefix} {request.seed}\n")
        return await super().propose(request)


def test_kill_9_loses_nothing_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}

    def start(out: str) -> subprocess.Popen[bytes]:
        asked = str(tmp_path / f"{out}.asked")
        command = [sys.executable, "-c", _KILLED, str(tmp_path / out)]
        return subprocess.Popen(command, env={**env, "ASKED": asked}, cwd=root)

    assert start("whole").wait(timeout=120) == 0
    kills, events = 0, tmp_path / "killed" / EVENTS
    for wanted in (1, 2_000, 20_000):
        process = start("killed")
        while process.poll() is None and sum(f.stat().st_size for f in events.glob("*")) < wanted:
            time.sleep(0.002)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert kills == 3
    assert start("killed").wait(timeout=120) == 0
    whole, killed = ((tmp_path / n / RESULTS).read_bytes() for n in ("whole", "killed"))
    assert whole == killed
    once, asked = ((tmp_path / f"{n}.asked").read_text().splitlines() for n in ("whole", "killed"))
    assert set(once) == set(asked)
    assert len(asked) <= len(once) + kills  # one that was under way when the kill came


def test_arms_and_repeats_may_be_added_and_nothing_is_asked_again(
    finished: Path,
    tmp_path: Path,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> None:
    run(tmp_path, pool, some_problems, bank_policy, ARMS[:2], replace(CONFIG, repeats=1))
    run(tmp_path, pool, some_problems, bank_policy)
    assert (tmp_path / RESULTS).read_bytes() == (finished / RESULTS).read_bytes()
    kinds = [e["key"] for f in (tmp_path / EVENTS).iterdir() for e in read_jsonl(f)]
    assert len(kinds) == len(set(kinds))


def test_arms_are_compared_on_the_repeats_that_all_of_them_have(
    tmp_path: Path, pool: Pool, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    given = (tmp_path, pool, some_problems, bank_policy)
    run(*given, ARMS[:1])
    summary = run(*given, ARMS[:2], replace(CONFIG, repeats=1))
    first = run(tmp_path / "first", *given[1:], ARMS[:2], replace(CONFIG, repeats=1))
    assert summary == first
    assert len(list(read_jsonl(tmp_path / RESULTS))) == 3 * len(some_problems)  # all are kept


def test_the_end_of_a_run_does_not_hold_all_traces_in_memory(
    finished: Path,
    tmp_path: Path,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> None:
    records = list(read_jsonl(finished / RESULTS))
    before = (finished / TABLE).read_bytes()
    shutil.copytree(finished, tmp_path / "run")
    for record in records:
        record["attempts"][0]["feedback"]["failures"].append({"stderr": "x" * 500_000})
    write_jsonl(tmp_path / "run" / RESULTS, records[::-1])
    size = (tmp_path / "run" / RESULTS).stat().st_size
    tracemalloc.start()
    run(tmp_path / "run", pool, some_problems, bank_policy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(read_jsonl(tmp_path / "run" / RESULTS)) == records
    assert (tmp_path / "run" / TABLE).read_bytes() == before
    assert peak < size / 2


def test_other_settings_are_refused_by_name(
    finished: Path, pool: Pool, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    before = (finished / RESULTS).read_bytes()
    with pytest.raises(InputError, match="another problems"):
        run(finished, pool, some_problems[:3], bank_policy)
    with pytest.raises(InputError, match="another budget"):
        run(finished, pool, some_problems, bank_policy, config=BenchmarkConfig(Budget(4)))
    other = replace(arms.GVR_PRM, suffix="regenerate")
    with pytest.raises(InputError, match="arm 'GVR PRM'"):
        run(finished, pool, some_problems, bank_policy, (other,))
    assert (finished / RESULTS).read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("settings.json", "[1]", "not the settings of a search"),
        ("results.jsonl", '{"a": 1}\n', "and no settings.json"),
        (None, "", "is a file"),
    ],
)
def test_a_folder_that_is_not_of_a_search_is_refused(
    tmp_path: Path,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
    name: str | None,
    text: str,
    message: str,
) -> None:
    out = tmp_path / "run"
    if name is not None:
        out.mkdir()
    path = out / name if name else out
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        run(out, pool, some_problems, bank_policy)
    assert path.read_text() == text


def test_arms_that_need_another_prm_are_refused(
    tmp_path: Path, pool: Pool, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    groups = {p.id: "all" for p in some_problems}
    given = (some_problems, groups, bank_policy, pool)
    with pytest.raises(InputError, match="GVR PRM: these arms ask a PRM"):
        run_benchmark(*given, None, tmp_path, CORE_ARMS, CONFIG)
    scorer = FakeScorer()
    scorer.views = ("feedback",)
    with pytest.raises(InputError, match="beam PRM: these arms score thoughts before"):
        run_benchmark(*given, scorer, tmp_path, ARMS, CONFIG)
    with pytest.raises(InputError, match="each another one"):
        run_benchmark(*given, scorer, tmp_path, (arms.TESTS_ONLY,) * 2, CONFIG)


def test_pass_at_k_is_the_share_of_subsets_with_a_passing_program() -> None:
    from itertools import combinations

    for passing in range(6):
        programs = [True] * passing + [False] * (5 - passing)
        for k in range(1, 6):
            subsets = list(combinations(programs, k))
            assert pass_at_k(5, passing, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def record(arm: str, repeat: int, ended: str, ran: dict[int, bool]) -> dict[str, Any]:
    """A search that ran the programs of these fresh samples: number -> whether it passes."""
    verdicts = {n: {"passed": int(passes), "total": 1} for n, passes in ran.items()}
    attempts = [
        {"sample": n, "parent": None, "node": None, "spent": i + 1, "private": verdict}
        for i, (n, verdict) in enumerate(verdicts.items())
    ]
    return {
        "problem_id": "p",
        "group": "all",
        "arm": arm,
        "repeat": repeat,
        "ended": ended,
        "attempts": attempts,
        "best_after": [0] * len(ran),
        "private": attempts[0]["private"] if attempts else {"passed": 0, "total": 1},
        "ledger": {
            "spent": len(ran),
            "generated_tokens": 0,
            "prompt_tokens": 0,
            "executions": len(ran),
            "scored_tokens": 0,
        },
        "failures": {},
    }


@pytest.mark.parametrize(
    ("ended", "ran", "pass_at_1"),
    [
        ("budget", {0: True, 1: False, 2: False}, 1 / 3),
        ("budget", {1: True, 2: False, 5: False}, 1 / 6),
        ("gave up", {0: True, 1: True}, 2 / (2 + MAX_FAILED_DRAWS)),
        ("gave up", {}, 0.0),
    ],
)
def test_a_sample_without_a_program_counts_for_pass_at_k(
    ended: str, ran: dict[int, bool], pass_at_1: float
) -> None:
    policy = MutationPolicy({})
    summary = summarise([record("sampling", 0, ended, ran)], policy, ["sampling"], Budget(3))
    found = summary["groups"]["all"]["arms"]["sampling"]["pass_at_k"]
    assert found["1"][0] == pytest.approx(pass_at_1)


def test_problem_ids_give_different_file_names() -> None:
    ids = ["a/b", "a_b", "a b", "../x", "x", ".x", "é" * 200, "é" * 201, "HumanEval/0"]
    names = [file_name(i) for i in ids]
    assert len(set(names)) == len(ids)
    assert all("/" not in n and not n.startswith(".") and len(n) < 100 for n in names)
