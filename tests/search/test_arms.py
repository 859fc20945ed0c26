from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.files import InputError
from codeprm_jax.policies.policy import (
    ImplementRequest,
    ProposeRequest,
    Text,
    Thoughts,
)
from codeprm_jax.search import arms
from codeprm_jax.search.arms import ALL_ARMS, Arm
from codeprm_jax.search.ledger import Budget
from codeprm_jax.search.refine import lowest_step
from codeprm_jax.search.search import MAX_FAILED_DRAWS, Node, Search
from tests.search.fakes import STEPS, FakePolicy, FakeScorer, KilledError, World, is_right

BUDGETS = [Budget(5), Budget(400, "generated_tokens"), Budget(12, "seconds")]
EVERY_ARM = pytest.mark.parametrize("arm", ALL_ARMS, ids=lambda arm: arm.name)


@settings(max_examples=150, deadline=None)
@given(
    arm=st.sampled_from(ALL_ARMS),
    unit=st.sampled_from(["executions", "generated_tokens", "seconds"]),
    amount=st.integers(1, 30),
    seed=st.integers(0, 99),
    right=st.sampled_from([0.0, 0.4, 0.9]),
    failing=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_no_arm_exceeds_its_budget_by_even_one_unit(
    arm: Arm, unit: Any, amount: int, seed: int, right: float, failing: float
) -> None:
    """Invariant 9: the ledger is what policy, sandbox and PRM counted, and never more than due."""
    budget = Budget(amount * 20 if unit == "generated_tokens" else amount, unit)
    world = World(FakePolicy(right, failing))
    (search,) = world.search([arm], budget, seed)
    ledger = search.ledger
    assert ledger.spent <= budget.amount
    # A judge that is asked again about the same prefix is charged again, and answers from the log.
    paid = sum(world.policy.spent.values())
    assert ledger.generated_tokens == paid or (arm.evaluate and ledger.generated_tokens > paid)
    assert ledger.executions == len(search.attempts) >= len(world.execution.ran)
    assert ledger.scored_tokens >= world.scorer.tokens
    costs = [a.spent for a in search.attempts]
    assert costs == sorted(costs) and all(c <= budget.amount for c in costs)
    if unit == "executions" and not failing and search.ended == "budget":
        assert ledger.spent == budget.amount


@EVERY_ARM
@pytest.mark.parametrize("budget", BUDGETS, ids=lambda b: b.unit)
def test_killed_at_any_call_and_resumed_is_uninterrupted(
    arm: Arm, budget: Budget, tmp_path: Path
) -> None:
    """Invariant 5, and nothing that was answered is asked again."""
    whole = World(FakePolicy(0.3, failing=0.1))
    (expected,) = whole.search([arm], budget, seed=11)
    calls = len(whole.policy.asked)
    for number, limit in enumerate(range(0, calls, max(1, calls // 6))):
        log = tmp_path / f"{number}.jsonl"
        killed = World(FakePolicy(0.3, failing=0.1, calls_left=limit), log=log)
        with pytest.raises(KilledError):
            killed.search([arm], budget, seed=11)
        again = World(FakePolicy(0.3, failing=0.1), log=log)
        (resumed,) = again.search([arm], budget, seed=11)
        assert resumed.to_json() == expected.to_json()
        assert len(killed.policy.asked) + len(again.policy.asked) == calls
        assert len(killed.execution.ran) + len(again.execution.ran) == len(whole.execution.ran)


def test_arms_side_by_side_get_what_each_gets_alone_and_share_samples() -> None:
    together = World(FakePolicy(0.3))
    found = together.search(ALL_ARMS, Budget(6), seed=5)
    asked = 0
    for arm, search in zip(ALL_ARMS, found, strict=True):
        alone = World(FakePolicy(0.3))
        assert alone.search([arm], Budget(6), seed=5)[0].to_json() == search.to_json()
        asked += len(alone.policy.asked)
    assert len(together.policy.asked) < 0.8 * asked
    assert together.policy.most_running <= together.policy.concurrency


def test_all_best_of_n_arms_start_from_the_same_samples() -> None:
    chosen = [a for a in ALL_ARMS if a.algorithm == "best_of_n"]
    searches = World(FakePolicy(0.2)).search(chosen, Budget(7), seed=2)
    fresh = [{a.sample: a.thoughts for a in s.attempts if a.parent is None} for s in searches]
    assert len(fresh) > 5
    for first, second in itertools.combinations(fresh, 2):
        assert all(first[n] == second[n] for n in first.keys() & second.keys())


@EVERY_ARM
def test_a_policy_that_always_fails_ends_the_search(arm: Arm) -> None:
    (search,) = World(FakePolicy(failing=1.0)).search([arm], Budget(8))
    assert search.attempts == [] and search.answer is None
    assert search.ended == "gave up" or arm.max_samples or arm.algorithm == "mcts"
    assert sum(search.failures.values()) >= (1 if arm.max_samples else MAX_FAILED_DRAWS)


@EVERY_ARM
def test_a_sure_policy_is_done_at_once(arm: Arm) -> None:
    (search,) = World(FakePolicy(right=1.0)).search([arm], Budget(4))
    assert search.attempts[0].feedback.all_passed
    if arm.stop_at_pass:
        assert len(search.attempts) == 1 and search.ended == "solved"
    else:
        assert len(search.attempts) == 4 and search.ended == "budget"


def refined(arm: Arm, right: float = 0.3, seed: int = 0) -> list[Search]:
    return [World(FakePolicy(right)).search([arm], Budget(12), s)[0] for s in range(seed, 20)]


@pytest.mark.parametrize(
    "arm", [a for a in ALL_ARMS if a.refine and a.suffix == "keep"], ids=lambda a: a.name
)
def test_a_rewrite_changes_nothing_but_the_chosen_thoughts(arm: Arm) -> None:
    count = 0
    for search in refined(arm):
        for attempt in search.attempts:
            if attempt.parent is None:
                continue
            before = search.attempts[attempt.parent]
            assert not before.feedback.all_passed and attempt.sample == before.sample
            changed = [i for i in range(STEPS) if before.thoughts[i] != attempt.thoughts[i]]
            assert set(changed) <= set(attempt.rewritten)
            count += 1
    assert count > 20


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_sample_is_rewritten_at_most_so_many_times_in_a_row(times: int) -> None:
    most = 0
    for search in refined(Arm("x", refine="random", max_think_times=times), right=0.1):
        for sample in {a.sample for a in search.attempts}:
            most = max(most, sum(a.sample == sample for a in search.attempts) - 1)
    assert most == times


@pytest.mark.parametrize("arm", [arms.GVR_PRM, arms.GVR_JUDGED], ids=lambda arm: arm.name)
def test_what_cannot_be_run_again_is_neither_scored_nor_judged(arm: Arm) -> None:
    world = World(FakePolicy(0.0))
    (search,) = world.search([arm], Budget(2), seed=1)
    assert [a.scores is not None for a in search.attempts] == [arm.refine == "prm", False]
    kinds = [type(request).__name__ for request in world.policy.asked]
    assert kinds[-1] == "ImplementRequest" and len(search.attempts) == 2


def test_the_prm_rewrites_the_first_wrong_thought() -> None:
    for search in refined(arms.GVR_PRM):
        for attempt in search.attempts:
            if attempt.parent is not None:
                before = search.attempts[attempt.parent]
                assert before.scores is not None
                assert attempt.rewritten == (is_right(before.thoughts).index(False),)


def test_the_threshold_rewrites_every_thought_below_it_and_last_the_last() -> None:
    for arm, steps in ((arms.GVR_PRM_THRESHOLD, None), (arms.GVR_LAST, (STEPS - 1,))):
        for search in refined(arm):
            for attempt in search.attempts:
                if attempt.parent is not None:
                    wrong = is_right(search.attempts[attempt.parent].thoughts).index(False)
                    assert attempt.rewritten == (steps or tuple(range(wrong, STEPS)))


def test_a_threshold_that_nothing_is_below_falls_back_to_the_lowest() -> None:
    for search in refined(Arm("x", refine="prm_threshold", threshold=0.0)):
        for attempt in search.attempts:
            assert len(attempt.rewritten) == (attempt.parent is not None)


def test_a_new_suffix_keeps_what_stands_before_the_rewritten_thought() -> None:
    changed = 0
    for search in refined(arms.GVR_PRM_SUFFIX):
        for attempt in search.attempts:
            if attempt.parent is not None:
                before, (step,) = search.attempts[attempt.parent], attempt.rewritten
                assert attempt.thoughts[:step] == before.thoughts[:step]
                changed += attempt.thoughts[step + 1 :] != before.thoughts[step + 1 :]
    assert changed > 5


def test_an_attempt_too_long_for_the_prm_is_rewritten_at_its_end() -> None:
    world = World(FakePolicy(0.0), scorer=FakeScorer(too_long="0:1"))
    rewritten = set()
    for seed in range(10):
        (search,) = world.search([arms.GVR_PRM], Budget(6), seed)
        for attempt in search.attempts:
            if attempt.parent is not None:
                before = search.attempts[attempt.parent].thoughts
                rewritten.add((before[0] == "0:1", attempt.rewritten))
    assert rewritten == {(True, (STEPS - 1,)), (False, (0,))}


def test_a_perfect_prm_beats_chance_in_every_algorithm() -> None:
    def executions(arm: Arm) -> float:
        return sum(s.ledger.executions for s in refined(arm, right=0.6))

    random, tests = executions(arms.GVR_RANDOM), executions(arms.TESTS_ONLY)
    assert executions(arms.GVR_PRM) < 0.7 * random
    for arm in (arms.BEAM_PRM, arms.DVTS_PRM, arms.MCTS_PRM, arms.MCTS_PRM_REFINE):
        assert executions(arm) < 0.8 * tests, arm.name


def test_beams_write_no_program_before_they_have_pruned() -> None:
    for arm in (arms.BEAM_PRM, arms.DVTS_PRM):
        world = World(FakePolicy(0.5))
        (search,) = world.search([arm], Budget(1), seed=3)
        kinds = [type(r).__name__ for r in world.policy.asked]
        assert kinds.count("ImplementRequest") == 1 and kinds[-1] == "ImplementRequest"
        assert all(r.thoughts == 1 for r in world.policy.asked if isinstance(r, ProposeRequest))
        # What is run is the most valued of all complete paths.
        complete = [n.value for n in search.tree if n.thought.startswith(f"{STEPS - 1}:")]
        node = search.attempts[0].node
        assert node is not None and search.tree[node].value == max(complete)  # type: ignore[type-var]


def test_diverse_subtrees_stay_apart() -> None:
    """The best child of each prefix is kept, although one prefix has all the best children."""

    def roots(arm: Arm) -> set[str]:
        found = set()
        for attempt in World(FakePolicy(0.5)).search([arm], Budget(3), seed=8)[0].attempts:
            found.add(attempt.thoughts[0])
        return found

    diverse = Arm("d", "dvts", evaluate="prm", width=3, branching=3, stop_at_pass=False)
    plain = Arm("b", "beam", evaluate="prm", width=3, branching=3, stop_at_pass=False)
    assert len(roots(diverse)) == 3 > len(roots(plain))


class Short(FakePolicy):
    """Says, when asked for another thought, that a plan of three needs none."""

    async def propose(self, request: ProposeRequest) -> Thoughts:
        answer = await super().propose(request)
        thoughts = answer.thoughts[: STEPS - 1 - len(request.prefix)]
        return replace(answer, thoughts=thoughts, complete=not thoughts or not request.thoughts)

    async def implement(self, request: ImplementRequest) -> Text:
        _, cost = await self._paid(request)
        return Text(**cost, text="\n".join(request.thoughts))


@pytest.mark.parametrize(
    "arm", [a for a in ALL_ARMS if a.algorithm in ("beam", "dvts", "mcts")], ids=lambda a: a.name
)
def test_a_prefix_that_needs_no_further_thought_is_written(arm: Arm) -> None:
    world = World(Short(right=0.5))
    (search,) = world.search([arm], Budget(4), seed=1)
    assert search.ended == "budget" and len(search.attempts) == 4
    for attempt in search.attempts:
        path = _path(search.tree, attempt.node)
        assert len(attempt.thoughts) == STEPS - 1
        assert attempt.parent is not None or arm.algorithm == "mcts" or len(path) == STEPS - 1


def test_mcts_replaces_a_rewritten_thought_and_drops_what_stood_on_it() -> None:
    """A rollout made after the rewrite never runs through the old node (the release's defect)."""
    arm = Arm("m", "mcts", refine="random", evaluate="prm", rollouts=30)
    replaced = 0
    for seed in range(20):
        (search,) = World(FakePolicy(0.25)).search([arm], Budget(20), seed)
        tree = search.tree
        gone: set[int] = set()
        for attempt in search.attempts:
            path = _path(tree, attempt.node)
            assert not gone & set(path)
            thoughts = tuple(tree[i].thought for i in reversed(path))
            assert attempt.thoughts[: len(thoughts)] == thoughts
            if attempt.parent is not None:
                before = search.attempts[attempt.parent].node
                old = {i for i in _path(tree, before) if tree[i].replaced} - set(path)
                replaced += len(old - gone)
                gone |= old
        assert gone == {i for i, n in enumerate(tree) if n.replaced}
    assert replaced > 10


def _path(tree: list[Node], at: int | None) -> list[int]:
    return [] if at is None else [at, *_path(tree, tree[at].parent)]


def test_mcts_visits_add_up_and_the_best_return_is_kept() -> None:
    (search,) = World(FakePolicy(0.2)).search([Arm("m", "mcts", evaluate="prm")], Budget(10), 1)
    for index, node in enumerate(search.tree):
        children = [n for n in search.tree if n.parent == index]
        assert node.visits >= sum(n.visits for n in children)
        if node.best is not None:
            assert node.best >= max((n.best for n in children if n.best is not None), default=0)
    returns = [a.feedback.pass_rate for a in search.attempts if not a.feedback.all_passed]
    best = max(n.best for n in search.tree if n.best is not None)
    assert best >= max(returns)


def test_ranking_hands_in_the_program_that_the_prm_likes_best() -> None:
    for seed in range(10):
        (search,) = World(FakePolicy(0.6)).search([arms.PRM_RANKED], Budget(6), seed)
        merit = [(a.feedback.pass_rate, a.scores[-1]) for a in search.attempts if a.scores]
        assert search.answer == merit.index(max(merit)) and len(merit) == 6


def test_ties_within_noise_go_to_the_first() -> None:
    assert lowest_step([0.9, 0.12, 0.1, 0.11]) == 1
    assert lowest_step([0.9, 0.12, 0.1, 0.11], tie=0) == 2


@pytest.mark.parametrize(
    "settings_",
    [
        {"width": 0},
        {"max_samples": 0},
        {"threshold": 2.0},
        {"algorithm": "beam"},
        {"algorithm": "self_refine", "refine": "prm"},
        {"evaluate": "prm"},
    ],
)
def test_arms_that_make_no_sense_are_refused_by_name(settings_: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="arm 'x'"):
        Arm("x", **settings_)


def test_mcts_enters_the_attempt_that_solves_into_its_tree() -> None:
    rewritten = 0
    for seed in range(30):
        world = World(FakePolicy(0.5))
        (search,) = world.search([arms.MCTS_PRM_REFINE], Budget(20), seed)
        if search.ended != "solved":
            continue
        last = search.attempts[-1]
        path = _path(search.tree, last.node)
        assert path and all(search.tree[i].best == 1.0 for i in path)
        assert not any(search.tree[i].replaced for i in path)
        rewritten += last.parent is not None
    assert rewritten > 3
