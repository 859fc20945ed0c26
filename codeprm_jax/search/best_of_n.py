"""Samples one after the other, each refined if it fails (METHOD, GVR: best-of-N).

With no refinement this is best-of-N by public tests, with one sample chain of thought, and with a
`Search` that does not stop at a pass it draws the samples for pass@k.
"""

from __future__ import annotations

import itertools

from codeprm_jax.policies.policy import ReviseRequest
from codeprm_jax.search.refine import Refinement, refine
from codeprm_jax.search.search import Attempt, Search


async def best_of_n(
    search: Search, refinement: Refinement | None = None, max_samples: int | None = None
) -> None:
    """Draws samples until the search ends, or as many as allowed."""
    for number in range(max_samples) if max_samples is not None else itertools.count():
        attempt = await search.sample(number)
        if attempt is not None and refinement is not None and not attempt.feedback.all_passed:
            await refine(search, attempt, refinement)


async def self_refine(search: Search) -> None:
    """Revises one sample again and again from its feedback (Shinn et al. 2023, Reflexion).

    No step is singled out: the policy reflects and writes all thoughts anew. If it fails to, a
    fresh sample is drawn.
    """
    attempt: Attempt | None = None
    for number in itertools.count():
        if attempt is None:
            attempt = await search.sample(number)
            continue
        seed = search.seed_of("revise", number)
        (answer,) = await search.ask(
            ReviseRequest(search.problem, attempt.thoughts, attempt.program, attempt.feedback, seed)
        )
        parent = search.attempts.index(attempt)
        attempt = await search.attempt(answer, (), seed, attempt.sample, parent)
