"""The tree method: the pool's formula, the binary search, and the whole on a known error."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.files import InputError
from codeprm_jax.policies.policy import (
    ImplementRequest,
    Policy,
    ProposeRequest,
    Text,
    Thoughts,
    TokenLimits,
)
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.rollouts import Outcome, Rollouts, Start
from codeprm_jax.search.tree import Pool, State, TreeConfig, first_wrong, priority, tree
from codeprm_jax.traces.trace import Trace
from tests.search.collecting import ChainOracle, CountingPolicy

PROBLEM = ENTRIES[0].problem.public


@pytest.mark.parametrize(
    ("value", "words", "visits", "all_visits", "expected"),
    [
        (0.0, 0, 0, 0, 0.5),
        (1.0, 0, 0, 0, 1.0),
        (0.0, 2048, 0, 0, 0.45),
        (0.5, 0, 0, 0, 0.7071067811865476),
        (0.5, 1024, 0, 0, 0.6708203932499369),
        (0.5, 0, 0, 4, 0.7071067811865476 + 0.25),
        (0.5, 0, 1, 4, 0.7071067811865476 + 0.125),
        (8 / 9, 204.8, 3, 16, 0.5 ** (1 / 9) * 0.9**0.1 + 0.125),
    ],
)
def test_priority_by_hand(
    value: float, words: int, visits: int, all_visits: int, expected: float
) -> None:
    found = priority(TreeConfig(), value, words, visits, all_visits)
    assert found == pytest.approx(expected, abs=1e-12)


def trace(name: str, *thoughts: str) -> Trace:
    return Trace(name, "p", thoughts, "", outcome=(0, 1))


def test_the_pool_counts_visits_and_takes_each_list_of_thoughts_once() -> None:
    pool = Pool(TreeConfig(c_puct=0.125))
    hopeful, root = State(("a",), 8, 9), State((), 1, 9)
    pool.add(root, trace("1", "x", "y"))
    pool.add(root, trace("2", "x", "y"))  # the same thoughts
    pool.add(hopeful, trace("3", "a", "b"))
    pool.add(hopeful, trace("4", "a"))  # no thought of its own
    pool.add(hopeful, trace("5", "a", *["long"] * 5000))
    order = []
    while (taken := pool.pop()) is not None:
        order.append(taken[1].id)
    # 0.93 for 3; then 0.72 + 0.125 / 2 for the long one, 0.54 + 0.125 for the root's.
    assert order == ["3", "5", "1"]
    assert (hopeful.visits, root.visits) == (2, 1)


def test_a_state_that_was_visited_gives_way() -> None:
    pool = Pool(TreeConfig(c_puct=10.0))
    better, worse = State(("a",), 5, 9), State(("b",), 4, 9)
    for i in range(2):
        pool.add(better, trace(f"better{i}", "a", str(i)))
        pool.add(worse, trace(f"worse{i}", "b", str(i)))
    taken = [pool.pop() for _ in range(4)]
    assert [t[1].id for t in taken if t] == ["better0", "worse0", "better1", "worse1"]


@given(st.integers(1, 200), st.data())
def test_binary_search_is_exact_and_logarithmic(length: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    wrong = data.draw(st.integers(start, length - 1))
    asked = []

    async def value(prefix: int) -> float:
        assert start < prefix < length
        asked.append(prefix)
        return 0.5 if prefix <= wrong else 0.0

    assert asyncio.run(first_wrong(start, length, value)) == wrong
    assert len(asked) <= math.ceil(math.log2(length - start)) if length - start > 1 else not asked


def test_an_unknown_value_ends_the_search() -> None:
    async def unknown(_: int) -> None:
        return None

    assert asyncio.run(first_wrong(0, 5, unknown)) is None


class KnownErrors(Policy):
    """Rollout n from the root errs where errors[n] says; from a prefix it adds no error."""

    name, simulated, concurrency = "known errors", True, 4
    limits = TokenLimits(100, 100, 1)

    def __init__(self, length: int, errors: list[set[int]]) -> None:
        self.length, self.errors = length, iter(errors)
        self.asked: Counter[tuple[str, ...]] = Counter()

    async def propose(self, request: ProposeRequest) -> Thoughts:
        start = len(request.prefix)
        errors = set() if start else next(self.errors)
        if request.max_tokens is None:  # not the same rollout, asked on
            self.asked[request.prefix] += 1
        stop = min(self.length, start + (request.thoughts or self.length))
        written = tuple(
            f"{request.seed} step {i} is {'wrong' if i in errors else 'right'}"
            for i in range(start, stop)
        )
        return Thoughts(len(written), thoughts=written, complete=stop == self.length)

    async def implement(self, request: ImplementRequest) -> Text:
        assert len(request.thoughts) == self.length
        return Text(1, text="\n".join(request.thoughts))


async def right_throughout(problem: PublicProblem, program: str) -> Outcome:
    del problem
    return Outcome(0 if "wrong" in program else 1, 1)


def rollouts(policy: Policy, oracle: object = right_throughout, seed: int = 0) -> Rollouts:
    generation = Generation(policy)
    return Rollouts(PROBLEM, policy.name, generation, EventLog(), seed, oracle=oracle)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.data())
def test_a_known_error_is_located_exactly(length: int, data: st.DataObject) -> None:
    """A prefix is good if it has no wrong step: then the tree must find the first, in every one."""
    errors = data.draw(st.lists(st.sets(st.integers(0, length - 1)), min_size=9, max_size=9))
    policy = KnownErrors(length, errors)
    drawing = rollouts(policy)
    asyncio.run(tree(drawing, TreeConfig(root_thoughts=length)))
    for made, wrong in zip(drawing.traces[:9], errors, strict=True):
        assert made.provenance.get("located") == min(wrong, default=None)
    assert set(policy.asked.values()) <= {9}  # no state is estimated twice, and 9 times each
    # Each search met good prefixes only on its way to the error, so nothing else was searched.
    assert all("located" not in t.provenance for t in drawing.traces[9:])


def test_estimates_have_nine_rollouts_and_say_to_which_trace_they_belong() -> None:
    policy = CountingPolicy()
    drawing = rollouts(policy, ChainOracle(), seed=3)
    asyncio.run(tree(drawing, TreeConfig()))
    by_id = {t.id: t for t in drawing.traces}
    groups: dict[int, list[Trace]] = {}
    for made in drawing.traces:
        groups.setdefault(made.provenance["estimate"], []).append(made)
    assert {len(g) for g in groups.values()} == {9}
    assert {t.provenance["search"] for t in groups[0]} == {None} and len(groups) > 3
    states = set()
    for number, group in groups.items():
        (parent,) = {tuple(t.provenance["parent"] or ()) for t in group}
        if number:
            prefix = by_id[parent[0]].thoughts[: parent[1]]
            assert {t.thoughts[: parent[1]] for t in group} == {prefix} and prefix not in states
            states.add(prefix)
    searched = [t for t in drawing.traces if "located" in t.provenance]
    assert 0 < len(searched) <= 16 and not any(t.solved for t in searched)
    assert len({t.thoughts for t in searched}) == len(searched)


def test_wrong_rollouts_of_hopeless_states_are_not_searched() -> None:
    """Of the root they are, though it looks hopeless; of a midpoint with MC = 0 they are not."""

    async def never(problem: PublicProblem, program: str) -> Outcome:
        return Outcome(0, 1)

    drawing = rollouts(CountingPolicy(), never)
    asyncio.run(tree(drawing, TreeConfig()))
    searched = [t for t in drawing.traces if "located" in t.provenance]
    assert searched and all(t.provenance["estimate"] == 0 for t in searched)
    assert {t.provenance["located"] for t in searched} == {0}


def test_rollouts_without_a_verdict_are_kept_and_decide_nothing() -> None:
    async def silent(problem: PublicProblem, program: str) -> None:
        return None

    drawing = rollouts(CountingPolicy(), silent)
    asyncio.run(tree(drawing, TreeConfig()))
    assert len(drawing.traces) == 9 and all(t.outcome is None for t in drawing.traces)


def test_thoughts_are_asked_for_until_they_are_complete_at_the_cost_of_one_answer() -> None:
    class Endless(KnownErrors):
        async def propose(self, request: ProposeRequest) -> Thoughts:
            most = self.limits.of(request)
            tokens = min(30, most)
            return Thoughts(tokens, thoughts=("on",) * (request.thoughts or 9), complete=False)

    endless = rollouts(Endless(9, []))
    assert asyncio.run(endless.draw([Start()], thoughts=2)) == []
    assert endless.failures == {"cut off": 1} and endless.generated_tokens == 100

    policy = KnownErrors(7, [{6}])
    drawing = rollouts(policy)
    (made,) = asyncio.run(drawing.draw([Start(("given",))], thoughts=2))
    assert len(made.thoughts) == 7 and made.thoughts[0] == "given"


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"searches": 0}, {"c_puct": -1.0}])
def test_nonsense_constants_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        TreeConfig(**wrong)  # type: ignore[arg-type]
