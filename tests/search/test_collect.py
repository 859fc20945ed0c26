"""Collection: the same bytes whatever happens on the way, budgets that hold, nothing paid twice."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.files import InputError, RunError, read_jsonl, read_valid_prefix
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.problem import Problem
from codeprm_jax.search.collect import CollectConfig, CollectSummary, collect
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.rollouts import BudgetSpentError, CollectBudget, Rollouts
from codeprm_jax.search.tree import TreeConfig, tree
from codeprm_jax.search.uniform import UniformConfig, uniform
from codeprm_jax.traces.trace import Trace, read_traces
from tests.search.collecting import ChainOracle, CountingPolicy

PUBLIC = [e.problem.public for e in ENTRIES[:3]]
UNIFORM = CollectConfig(UniformConfig(rollouts=8, min_trials=3), seed=5)
TREE = CollectConfig(TreeConfig(root_rollouts=4, rollouts=3, searches=3), seed=5)
BOTH = pytest.mark.parametrize("config", [UNIFORM, TREE], ids=["uniform", "tree"])

WORST = sum(
    getattr(CountingPolicy().limits, name) for name in ("thoughts", "program")
)  # of one rollout


def run(out: Path, config: CollectConfig, policy: MutationPolicy | None = None) -> CollectSummary:
    oracle = ChainOracle() if isinstance(config.method, TreeConfig) else None
    return collect(PUBLIC, policy or CountingPolicy(), out, config, oracle=oracle)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An uninterrupted collection by each method."""
    folder = tmp_path_factory.mktemp("whole")
    for config in (UNIFORM, TREE):
        run(folder / config.method_name / "traces.jsonl", config)
    return {c.method_name: folder / c.method_name for c in (UNIFORM, TREE)}


def test_every_prefix_of_the_first_rollouts_has_enough_trials(whole: dict[str, Path]) -> None:
    everything = list(read_traces(whole["uniform"] / "traces.jsonl"))
    by_id = {t.id: t for t in everything}
    for problem in PUBLIC:
        traces = [t for t in everything if t.problem_id == problem.id]
        through = Counter(t.thoughts[:d] for t in traces for d in range(1, len(t.thoughts)))
        for trace in traces[:8]:
            assert trace.provenance["parent"] is None
            for depth in range(1, len(trace.thoughts)):
                assert through[trace.thoughts[:depth]] >= 3
        for trace in traces[8:]:
            parent, depth = trace.provenance["parent"]
            assert trace.thoughts[:depth] == by_id[parent].thoughts[:depth]


@BOTH
def test_traces_say_where_they_come_from(config: CollectConfig, whole: dict[str, Path]) -> None:
    policy = CountingPolicy()
    for trace in read_traces(whole[config.method_name] / "traces.jsonl"):
        said = trace.provenance
        assert said["policy"] == policy.name and said["method"] == config.method_name
        assert said["run_seed"] == 5 and trace.id == f"{trace.problem_id}#{said['sample']}"
        assert said["tokens"] > 0
        assert (trace.outcome is None) == (trace.public is None) == (config is UNIFORM)
        assert ("estimate" in said) == (config is TREE)


@BOTH
def test_order_and_concurrency_change_nothing(
    config: CollectConfig, whole: dict[str, Path], tmp_path: Path
) -> None:
    one = CollectConfig(config.method, config.seed, problems_at_once=1)
    run(tmp_path / "traces.jsonl", one)
    expected = (whole[config.method_name] / "traces.jsonl").read_bytes()
    assert (tmp_path / "traces.jsonl").read_bytes() == expected


@BOTH
def test_files_cut_anywhere_are_completed_to_the_same_bytes(
    config: CollectConfig, whole: dict[str, Path], tmp_path: Path
) -> None:
    """And what is still in the logs is not asked again."""
    rng = random.Random(0)
    before = whole[config.method_name]
    expected = (before / "traces.jsonl").read_bytes()
    for number in range(12):
        folder = tmp_path / str(number)
        shutil.copytree(before, folder)
        lost = 0
        for path in sorted(folder.rglob("*.jsonl")):
            if rng.random() < 0.7:
                content = path.read_bytes()
                kept = content[: rng.randrange(len(content) + 1)]
                path.write_bytes(kept)
                if path.name not in ("traces.jsonl", "finished.jsonl"):
                    lost += content.count(b"\n") - kept.count(b"\n")
        policy = CountingPolicy()
        summary = run(folder / "traces.jsonl", config, policy)
        assert (folder / "traces.jsonl").read_bytes() == expected
        assert policy.asked.total() <= lost
        assert summary.traces == expected.count(b"\n")


@BOTH
def test_a_collection_that_breaks_off_pays_for_nothing_twice(
    config: CollectConfig, whole: dict[str, Path], tmp_path: Path
) -> None:
    expected = (whole[config.method_name] / "traces.jsonl").read_bytes()
    uninterrupted = CountingPolicy()
    run(tmp_path / "u" / "traces.jsonl", config, uninterrupted)
    policy = CountingPolicy()
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.8, 0.99):
        policy.breaks_at = int(share * uninterrupted.asked.total())
        with pytest.raises(RunError, match="the policy broke"):
            run(tmp_path / "traces.jsonl", config, policy)
    policy.breaks_at = None
    summary = run(tmp_path / "traces.jsonl", config, policy)
    assert (tmp_path / "traces.jsonl").read_bytes() == expected
    assert policy.asked == uninterrupted.asked and set(policy.asked.values()) == {1}
    assert summary.generated_tokens == uninterrupted.tokens.total()
    asked = policy.asked.total()
    assert run(tmp_path / "traces.jsonl", config, policy) == summary
    assert policy.asked.total() == asked


def test_the_policy_is_closed_in_its_event_loop_even_if_it_breaks(tmp_path: Path) -> None:
    class Closing(CountingPolicy):
        closed = 0

        async def aclose(self) -> None:
            asyncio.get_running_loop()
            self.closed += 1

    policy = Closing()
    run(tmp_path / "whole.jsonl", UNIFORM, policy)
    assert policy.closed == 1
    breaking = Closing(breaks_at=5)
    with pytest.raises(RunError, match="broke"):
        run(tmp_path / "broken.jsonl", UNIFORM, breaking)
    assert breaking.closed == 1


def test_programs_that_were_judged_are_not_judged_again(tmp_path: Path) -> None:
    oracle = ChainOracle()
    collect(PUBLIC, CountingPolicy(), tmp_path / "t.jsonl", TREE, oracle=oracle)
    assert set(oracle.judged.values()) == {1}  # equal programs share an outcome
    (tmp_path / "t.jsonl").write_bytes(b"")
    (tmp_path / "t.jsonl.collection" / "finished.jsonl").unlink()
    collect(PUBLIC, CountingPolicy(), tmp_path / "t.jsonl", TREE, oracle=oracle)
    assert set(oracle.judged.values()) == {1}


def test_other_settings_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    run(out, UNIFORM)
    content = out.read_bytes()
    for other in (
        CollectConfig(UNIFORM.method, seed=6),
        CollectConfig(UniformConfig(8, 4), seed=5),
        TREE,
    ):
        with pytest.raises(InputError, match="name another --out"):
            run(out, other)
    with pytest.raises(InputError, match="policy"):
        run(out, UNIFORM, CountingPolicy(slip_probability=0.5))
    with pytest.raises(InputError, match="problems"):
        collect(PUBLIC[:2], CountingPolicy(), out, UNIFORM)
    shutil.rmtree(tmp_path / "t.jsonl.collection")
    with pytest.raises(InputError, match="cannot be gone on with"):
        run(out, UNIFORM)
    assert out.read_bytes() == content


@BOTH
def test_a_raised_budget_goes_on_where_the_lower_one_ended(
    config: CollectConfig, whole: dict[str, Path], tmp_path: Path
) -> None:
    policy = CountingPolicy()
    for budget in (CollectBudget(rollouts=5), CollectBudget(tokens=3 * WORST)):
        lower = CollectConfig(config.method, config.seed, budget)
        assert run(tmp_path / "traces.jsonl", lower, policy).out_of_budget == 3
    run(tmp_path / "traces.jsonl", config, policy)
    expected = (whole[config.method_name] / "traces.jsonl").read_bytes()
    assert (tmp_path / "traces.jsonl").read_bytes() == expected
    assert set(policy.asked.values()) == {1}


def test_a_file_of_others_stays_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    out.write_text("a letter")
    with pytest.raises(InputError, match="no record of the kind"):
        run(out, UNIFORM)
    assert out.read_text() == "a letter"
    with pytest.raises(InputError, match="is a folder"):
        run(tmp_path, UNIFORM)


def test_the_tree_needs_an_oracle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="oracle"):
        collect(PUBLIC, CountingPolicy(), tmp_path / "t.jsonl", TREE)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["uniform", "tree"]),
    st.one_of(st.none(), st.integers(1, 60)),
    st.one_of(st.none(), st.integers(WORST, 20 * WORST)),
    st.integers(0, 5),
)
def test_no_problem_exceeds_its_budget(
    method: str, rollouts: int | None, tokens: int | None, seed: int
) -> None:
    policy = CountingPolicy(slip_probability=0.3)
    problem = PUBLIC[0]
    share = CollectBudget(rollouts, tokens)
    drawing = Rollouts(
        problem, policy.name, Generation(policy), EventLog(), seed, share, ChainOracle()
    )

    async def draw() -> bool:
        try:
            await (
                uniform(drawing, UniformConfig(10, 3))
                if method == "uniform"
                else tree(drawing, TreeConfig(searches=3))
            )
        except BudgetSpentError:
            return True
        return False

    out_of_budget = asyncio.run(draw())
    assert drawing.generated_tokens == policy.tokens[problem.id]
    assert tokens is None or drawing.generated_tokens <= tokens
    assert rollouts is None or drawing.drawn <= rollouts
    assert len(drawing.traces) == drawing.drawn > 0
    if out_of_budget:  # it was used up: another rollout could have exceeded it
        assert drawing.drawn == rollouts or (
            tokens is not None and drawing.generated_tokens + WORST > tokens
        )


@BOTH
def test_budgets_in_all_are_divided(config: CollectConfig, tmp_path: Path) -> None:
    budget = CollectBudget(total_rollouts=20, total_tokens=9 * WORST)
    policy = CountingPolicy()
    summary = run(tmp_path / "t.jsonl", CollectConfig(config.method, 5, budget), policy)
    assert summary.rollouts <= 20 and policy.tokens.total() <= 9 * WORST
    drawn = Counter(r["problem_id"] for r in read_jsonl(tmp_path / "t.jsonl"))
    assert all(0 < n <= 7 for n in drawn.values()) and len(drawn) == 3
    assert summary.out_of_budget == 3


@given(st.integers(1, 500), st.integers(1, 40))
def test_shares_add_up_to_the_budget(total: int, problems: int) -> None:
    budget = CollectBudget(total_rollouts=total)
    if total < problems:
        with pytest.raises(InputError, match="fewer problems"):
            [budget.share(i, problems) for i in range(problems)]
    else:
        parts = [budget.share(i, problems).rollouts or 0 for i in range(problems)]
        assert sum(parts) == total and max(parts) - min(parts) <= 1


def test_a_budget_below_one_rollout_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    policy = CountingPolicy()
    budget = CollectBudget(tokens=WORST - 1)
    with pytest.raises(InputError, match="do not cover one rollout"):
        run(tmp_path / "t.jsonl", CollectConfig(UNIFORM.method, 5, budget), policy)
    assert not policy.asked and not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="at least 1"):
        CollectBudget(rollouts=0)


def test_a_rollout_without_a_program_is_counted_and_left_out(tmp_path: Path) -> None:
    class CutOff(CountingPolicy):
        async def implement(self, request):  # type: ignore[no-untyped-def]
            cut = request.seed % 2 == 0
            answer = await super().implement(request)
            return type(answer)(answer.tokens, failure="cut off") if cut else answer

    summary = run(tmp_path / "t.jsonl", UNIFORM, CutOff())
    assert 0 < summary.failures["cut off"] == summary.rollouts - summary.traces
    assert len(read_valid_prefix(tmp_path / "t.jsonl")) == summary.traces


def test_the_policy_is_closed_at_the_end(tmp_path: Path) -> None:
    closed = []

    class Closing(CountingPolicy):
        async def aclose(self) -> None:
            closed.append(self.asked.total())

    run(tmp_path / "t.jsonl", UNIFORM, Closing())
    with pytest.raises(RunError):
        run(tmp_path / "u.jsonl", UNIFORM, Closing(breaks_at=3))
    assert closed[0] > 3 == closed[1]


def test_traces_round_trip(traces: list[Trace], some_problems: list[Problem]) -> None:
    assert all(Trace.from_json(t.to_json()) == t for t in traces)
