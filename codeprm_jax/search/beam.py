"""Beam search over thoughts: prefixes are pruned by value before any code is written.

The diverse form (DVTS: Beeching et al. 2024) grows independent subtrees and keeps the best child
in each, so that one high score cannot fill the beam.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from codeprm_jax.policies.policy import Thoughts
from codeprm_jax.scoring.aggregate import Aggregate
from codeprm_jax.search.prefixes import Evaluate, Prefix, evaluate, expand
from codeprm_jax.search.refine import Refinement, refine
from codeprm_jax.search.search import MAX_FAILED_DRAWS, Search


@dataclass(frozen=True)
class BeamConfig:
    """Shape of the beam.

    Attributes:
      width: prefixes kept after each thought; in the diverse form, subtrees.
      branching: draws for the next thought of each.
      evaluate: who values prefixes.
      aggregate: of the PRM's scores of a prefix.
      diverse: keep the best child of each prefix instead of the best of all.
    """

    width: int = 3
    branching: int = 3
    evaluate: Evaluate = "prm"
    aggregate: Aggregate = "last"
    diverse: bool = False


async def beam(search: Search, config: BeamConfig, refinement: Refinement | None = None) -> None:
    """Grows a beam, writes and runs its complete traces, the most valued first, and starts again.

    Every round draws anew, until the search ends.
    """
    empty_rounds = 0
    for number in itertools.count():
        finished = await _grow(search, config, number)
        empty_rounds = 0 if finished else empty_rounds + 1
        if empty_rounds == MAX_FAILED_DRAWS:
            raise search.end("gave up")
        for place, prefix in enumerate(sorted(finished, key=lambda p: -(p.value or 0.0))):
            seed = search.seed_of("write", number, place)
            sample = number * config.width + place
            attempt = await search.attempt(
                Thoughts(0), prefix.thoughts, seed, sample, node=prefix.node
            )
            if attempt is not None and refinement is not None and not attempt.feedback.all_passed:
                await refine(search, attempt, refinement)


async def _grow(search: Search, config: BeamConfig, number: int) -> list[Prefix]:
    """The complete prefixes that one round ends with, at most `width`."""
    kept: list[Prefix] = [Prefix()]
    finished: list[Prefix] = []
    for depth in itertools.count():
        # All subtrees of the diverse form begin at the root: together they draw as many as later.
        first = depth == 0
        branching = config.branching * (config.width if first else 1)
        families = await expand(search, kept, branching, number, depth)
        children = [child for family in families for child in family]
        if not children:
            return finished
        valued = iter(await evaluate(search, children, config.evaluate, config.aggregate))
        ranked = [
            sorted((next(valued) for _ in family), key=lambda p: -(p.value or 0.0))
            for family in families
        ]
        room = config.width - len(finished)
        if config.diverse and not first:
            best = [family[0] for family in ranked if family][:room]
        else:
            best = sorted(itertools.chain(*ranked), key=lambda p: -(p.value or 0.0))[:room]
        finished += [p for p in best if p.complete]
        kept = [p for p in best if not p.complete]
        if not kept:
            return finished
    raise AssertionError("prefixes are complete at MAX_DEPTH")
