from __future__ import annotations

from collections import Counter

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import ImplementRequest, ProposeRequest, RefineRequest
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.traces.trace import Feedback

ENTRY = ENTRIES[0]
PROBLEM, CHAIN = ENTRY.problem.public, ENTRY.chain


def policy(right: float = 0.6, slip: float = 0.05) -> MutationPolicy:
    return MutationPolicy({CHAIN.problem_id: CHAIN}, right, slip)


def test_without_errors_it_writes_the_reference() -> None:
    sure = policy(right=1.0, slip=0.0)
    (thoughts,) = sure.propose([ProposeRequest(PROBLEM, (), 0)])
    (program,) = sure.implement([ImplementRequest(PROBLEM, thoughts.thoughts, 0)])
    assert program.text == CHAIN.reference
    assert thoughts.tokens > 0 and program.tokens > 0


def test_proposals_continue_the_prefix_and_draw_right_steps_at_the_given_rate() -> None:
    prefix = (CHAIN.steps[0].wrong[0].thought,)
    answers = policy(right=0.7).propose([ProposeRequest(PROBLEM, prefix, s) for s in range(400)])
    assert {len(a.thoughts) for a in answers} == {len(CHAIN.steps) - 1}
    rate = sum(a.thoughts[0] == CHAIN.steps[1].right.thought for a in answers) / 400
    assert 0.62 < rate < 0.78


def test_an_answer_does_not_depend_on_its_batch() -> None:
    requests = [ProposeRequest(PROBLEM, (), s) for s in range(20)]
    together = policy().propose(requests)
    assert together == [policy().propose([r])[0] for r in requests]


def test_implement_slips_at_the_given_rate_and_only_in_one_step() -> None:
    thoughts = tuple(s.right.thought for s in CHAIN.steps)
    requests = [ImplementRequest(PROBLEM, thoughts, s) for s in range(400)]
    programs = [t.text for t in policy(slip=0.2).implement(requests)]
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
    step = CHAIN.steps[1]
    thoughts = [s.right.thought for s in CHAIN.steps]
    thoughts[1] = step.variants[variant].thought
    requests = [
        RefineRequest(PROBLEM, tuple(thoughts), "", Feedback(0, 1), 1, s) for s in range(300)
    ]
    drawn = Counter(step.find(t.text) for t in policy(right=0.6).refine(requests))
    assert drawn[variant] == 0 and drawn[None] == 0
    if variant:  # a wrong thought becomes right at the given rate
        assert 0.5 < drawn[0] / 300 < 0.7


def test_unknown_problems_and_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="no chain"):
        MutationPolicy({}).propose([ProposeRequest(PROBLEM, (), 0)])
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        policy(right=1.5)


def test_its_name_says_what_it_is() -> None:
    assert MutationPolicy({}).name == "mutation(right=0.7, slip=0.05)"
