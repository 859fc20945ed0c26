"""Verify and refine: which thought of a failed attempt to rewrite, and what comes of it.

Every algorithm shares these, so the ways to choose a step can be compared within each.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codeprm_jax.policies.policy import LocateRequest, ProposeRequest, RefineRequest, Thoughts
from codeprm_jax.search.search import Attempt, Search

# The lowest PRM score; every one below the threshold; any; the last; the policy's own opinion.
Choose = Literal["prm", "prm_threshold", "random", "last", "judged"]
# After a rewrite the thoughts behind it stay, or are proposed anew.
Suffix = Literal["keep", "regenerate"]

# Monte-Carlo labels of some twenty rollouts cannot tell scores apart that differ by less.
SCORE_TIE = 0.05


@dataclass(frozen=True)
class Refinement:
    """How failed attempts are refined.

    Attributes:
      choose: which step is rewritten.
      suffix: what becomes of the thoughts behind it.
      max_think_times: rewrites in a row.
      threshold: of "prm_threshold": every thought scored below it is rewritten, or the lowest.
    """

    choose: Choose
    suffix: Suffix = "keep"
    max_think_times: int = 2
    threshold: float = 0.5


async def refine(search: Search, attempt: Attempt, how: Refinement) -> Attempt:
    """Rewrites a failed attempt again and again; returns the last one that was run."""
    for _ in range(how.max_think_times):
        after = await rewrite(search, attempt, how)
        if after is None:
            break
        attempt = after
    return attempt


async def rewrite(search: Search, attempt: Attempt, how: Refinement) -> Attempt | None:
    """One rewrite; None if the policy failed to give one.

    Several chosen thoughts are rewritten front to back, each seeing the ones before it. With a
    regenerated suffix only the first of them is: what stands behind it goes anyway.
    """
    search.check_room()  # before a scorer or a judge is paid to choose the step
    number = search.attempts.index(attempt)
    steps = await _CHOOSERS[how.choose](search, attempt, how)
    if how.suffix == "regenerate":
        steps = steps[:1]
    thoughts = list(attempt.thoughts)
    for step in steps:
        seed = search.seed_of("refine", number, step)
        (answer,) = await search.ask(
            RefineRequest(
                search.problem, tuple(thoughts), attempt.program, attempt.feedback, step, seed
            )
        )
        if answer.failure is not None:
            return None
        thoughts[step] = answer.text
    seed = search.seed_of("rewritten", number)
    kept, rest = tuple(thoughts), Thoughts(0)
    if how.suffix == "regenerate" and steps[0] + 1 < len(thoughts):
        kept = kept[: steps[0] + 1]
        (rest,) = await search.ask(ProposeRequest(search.problem, kept, seed))
    return await search.attempt(rest, kept, seed, attempt.sample, number, tuple(steps))


def lowest_step(scores: np.ndarray | Sequence[float], tie: float = SCORE_TIE) -> int:
    """The earliest step whose score is within `tie` of the lowest.

    Behind a wrong step all values are low and differ by noise only; the first of them is the one
    to rewrite. With tie = 0 this is the argmin of the paper.
    """
    values = np.asarray(scores)
    return int(np.flatnonzero(values <= values.min() + tie)[0])


async def _random(search: Search, attempt: Attempt, how: Refinement) -> list[int]:
    seed = search.seed_of("step", search.attempts.index(attempt))
    return [random.Random(seed).randrange(len(attempt.thoughts))]


async def _last(search: Search, attempt: Attempt, how: Refinement) -> list[int]:
    return [len(attempt.thoughts) - 1]


async def _prm(search: Search, attempt: Attempt, how: Refinement) -> list[int]:
    scores = await search.score_attempt(attempt)
    if scores is None:  # too long for the PRM
        return await _last(search, attempt, how)
    return [lowest_step(scores)]


async def _prm_threshold(search: Search, attempt: Attempt, how: Refinement) -> list[int]:
    scores = await search.score_attempt(attempt)
    below = [i for i, score in enumerate(scores or ()) if score < how.threshold]
    return below or await _prm(search, attempt, how)


async def _judged(search: Search, attempt: Attempt, how: Refinement) -> list[int]:
    seed = search.seed_of("locate", search.attempts.index(attempt))
    (answer,) = await search.ask(
        LocateRequest(search.problem, attempt.thoughts, attempt.program, attempt.feedback, seed)
    )
    if answer.step is None or not 0 <= answer.step < len(attempt.thoughts):
        return await _last(search, attempt, how)
    return [answer.step]


_Chooser = Callable[[Search, Attempt, Refinement], Awaitable[list[int]]]
_CHOOSERS: Mapping[Choose, _Chooser] = {
    "prm": _prm,
    "prm_threshold": _prm_threshold,
    "random": _random,
    "last": _last,
    "judged": _judged,
}
