"""Uniform collection: rollouts from the root, then every prefix in them gets enough of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from codeprm_jax.files import InputError
from codeprm_jax.search.rollouts import Rollouts, Start
from codeprm_jax.traces.trace import Trace


@dataclass(frozen=True)
class UniformConfig:
    """How many rollouts to draw.

    Attributes:
      rollouts: complete traces from the start of each problem.
      min_trials: rollouts through every prefix that these traces contain.
    """

    rollouts: int = 48
    min_trials: int = 4

    def __post_init__(self) -> None:
        if self.rollouts < 1 or self.min_trials < 1:
            raise InputError("rollouts and min_trials must be at least 1")


async def uniform(rollouts: Rollouts, config: UniformConfig) -> None:
    """Draws them. Raises BudgetSpentError if the budget ends it."""
    roots = await rollouts.draw([Start()] * config.rollouts)
    # A second round only where rollouts of the first failed; and none after one that gave nothing.
    while starts := _missing(roots, rollouts.traces, config.min_trials):
        if not await rollouts.draw(starts):
            return


def _missing(roots: Sequence[Trace], drawn: Sequence[Trace], min_trials: int) -> list[Start]:
    """What brings every prefix of `roots` to `min_trials` rollouts, the shortest prefixes first."""
    through = Counter(t.thoughts[:d] for t in drawn for d in range(1, len(t.thoughts)))
    starts = []
    for depth in range(1, max((len(t.thoughts) for t in roots), default=0)):
        for trace in roots:
            prefix = trace.thoughts[:depth]
            if len(prefix) == len(trace.thoughts):
                continue
            while through[prefix] < min_trials:
                starts.append(Start(prefix, (trace.id, depth)))
                through[prefix] += 1
    return starts
