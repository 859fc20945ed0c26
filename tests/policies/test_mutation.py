from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import (
    ImplementRequest,
    LocateRequest,
    ProposeRequest,
    RefineRequest,
    ReviseRequest,
    ValueRequest,
)
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.traces.trace import Feedback

ENTRY = ENTRIES[0]
PROBLEM, CHAIN = ENTRY.problem.public, ENTRY.chain


T = TypeVar("T")
RIGHT = tuple(s.right.thought for s in CHAIN.steps)
FAILED = Feedback(0, 1)


def policy(right: float = 0.6, slip: float = 0.05, judge: float = 0.6) -> MutationPolicy:
    return MutationPolicy({CHAIN.problem_id: CHAIN}, right, slip, judge)


def ask(answers: Iterable[Awaitable[T]]) -> list[T]:
    async def gather() -> list[T]:
        return await asyncio.gather(*answers)

    return asyncio.run(gather())


def wrong_at(index: int) -> tuple[str, ...]:
    return (*RIGHT[:index], CHAIN.steps[index].wrong[0].thought, *RIGHT[index + 1 :])


def test_without_errors_it_writes_the_reference() -> None:
    sure = policy(right=1.0, slip=0.0)
    (thoughts,) = ask([sure.propose(ProposeRequest(PROBLEM, (), 0))])
    (program,) = ask([sure.implement(ImplementRequest(PROBLEM, thoughts.thoughts, 0))])
    assert thoughts.thoughts == RIGHT and thoughts.complete
    assert program.text == CHAIN.reference
    assert thoughts.tokens > 0 and program.tokens > 0


def test_proposals_continue_the_prefix_and_draw_right_steps_at_the_given_rate() -> None:
    prefix, some = (CHAIN.steps[0].wrong[0].thought,), policy(right=0.7)
    answers = ask(some.propose(ProposeRequest(PROBLEM, prefix, s)) for s in range(400))
    assert {len(a.thoughts) for a in answers} == {len(CHAIN.steps) - 1}
    rate = sum(a.thoughts[0] == CHAIN.steps[1].right.thought for a in answers) / 400
    assert 0.62 < rate < 0.78


def test_a_proposal_may_ask_for_the_next_thoughts_only() -> None:
    for start in range(len(RIGHT)):
        for count in range(1, len(RIGHT) + 2):
            request = ProposeRequest(PROBLEM, RIGHT[:start], 3, thoughts=count)
            (answer,) = ask([policy().propose(request)])
            assert len(answer.thoughts) == min(count, len(RIGHT) - start)
            assert answer.complete == (start + count >= len(RIGHT))


def test_implement_slips_at_the_given_rate_and_only_in_one_step() -> None:
    some = policy(slip=0.2)
    answers = ask(some.implement(ImplementRequest(PROBLEM, RIGHT, s)) for s in range(400))
    programs = [t.text for t in answers]
    assert 0.13 < sum(p != CHAIN.reference for p in programs) / 400 < 0.27
    single = {CHAIN.reference}
    for index, step in enumerate(CHAIN.steps):
        for variant in range(1, len(step.variants)):
            choices = [0] * len(CHAIN.steps)
            choices[index] = variant
            single.add(CHAIN.program(choices))
    assert set(programs) <= single


@pytest.mark.parametrize("variant", [0, 1])
def test_refine_always_proposes_another_variant(variant: int) -> None:
    step, some = CHAIN.steps[1], policy(right=0.6)
    thoughts = (RIGHT[0], step.variants[variant].thought, *RIGHT[2:])
    answers = ask(
        some.refine(RefineRequest(PROBLEM, thoughts, "", FAILED, 1, s)) for s in range(300)
    )
    drawn = Counter(step.find(t.text) for t in answers)
    assert drawn[variant] == 0 and drawn[None] == 0
    if variant:  # a wrong thought becomes right at the given rate
        assert 0.5 < drawn[0] / 300 < 0.7


def test_opinions_are_right_at_the_given_rate() -> None:
    some, last, n = policy(judge=0.7), len(RIGHT) - 1, 400
    thoughts = wrong_at(last)
    found = ask(some.locate(LocateRequest(PROBLEM, thoughts, "", FAILED, s)) for s in range(n))
    expected = 0.7 + 0.3 / len(RIGHT)  # a random step may be the right one
    assert abs(sum(f.step == last for f in found) / n - expected) < 0.08
    for prefix, truth in ((RIGHT[:1], 0.75), (wrong_at(0)[:1], 0.25)):
        values = ask(some.value(ValueRequest(PROBLEM, prefix, s)) for s in range(n))
        assert abs(sum(v.value == truth for v in values) / n - 0.7) < 0.08


def test_a_revision_keeps_what_stands_before_the_step_that_it_blames() -> None:
    sure, index = policy(right=1.0, judge=1.0), len(RIGHT) - 1
    request = ReviseRequest(PROBLEM, wrong_at(index), "", FAILED, 0)
    assert ask([sure.revise(request)])[0].thoughts == RIGHT


@pytest.mark.parametrize("limit", [1, 5, 20, 200, 2000])
def test_no_answer_costs_more_than_its_limit(limit: int) -> None:
    some, thoughts = policy(), wrong_at(1)
    for seed in range(30):
        answers = ask(
            [
                some.propose(ProposeRequest(PROBLEM, (), seed, max_tokens=limit)),
                some.implement(ImplementRequest(PROBLEM, thoughts, seed, max_tokens=limit)),
                some.refine(RefineRequest(PROBLEM, thoughts, "", FAILED, 1, seed, limit)),
                some.revise(ReviseRequest(PROBLEM, thoughts, "", FAILED, seed, limit)),
                some.locate(LocateRequest(PROBLEM, thoughts, "", FAILED, seed, limit)),
                some.value(ValueRequest(PROBLEM, thoughts, seed, limit)),
            ]
        )
        for answer in answers:
            assert answer.tokens <= limit
            assert (answer.failure is None) or answer.tokens == limit
        free = ask(
            [
                some.propose(ProposeRequest(PROBLEM, (), seed)),
                some.revise(ReviseRequest(PROBLEM, thoughts, "", FAILED, seed)),
            ]
        )
        assert all(a.tokens <= some.limits.thoughts for a in free)
        (program,) = ask([some.implement(ImplementRequest(PROBLEM, thoughts, seed))])
        assert program.tokens <= some.limits.program


def test_unknown_problems_and_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="no chain"):
        ask([MutationPolicy({}).propose(ProposeRequest(PROBLEM, (), 0))])
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        policy(right=1.5)


def test_its_name_says_what_it_is() -> None:
    assert MutationPolicy({}).name == "mutation(right=0.7, slip=0.05, judge=0.6)"
