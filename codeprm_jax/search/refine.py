"""Verify: which thought of a failed attempt to rewrite. Every search shares these choosers."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codeprm_jax.data.layout import ExampleTooLongError, StepInput
from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.traces.trace import Feedback

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """A complete trace within a search.

    Attributes:
      thoughts, program, feedback: the trace.
      sample: number of the fresh sample it descends from.
      rewritten: index of the thought that was rewritten to get here; None for a fresh sample.
      scores: the PRM's, where the chooser asked for them.
    """

    thoughts: tuple[str, ...]
    program: str
    feedback: Feedback
    sample: int
    rewritten: int | None = None
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True)
class FailedAttempt:
    """An attempt to be verified, with its problem and a seed for choosers that draw."""

    problem: PublicProblem
    attempt: Attempt
    seed: int


@dataclass(frozen=True)
class StepChoice:
    """The step to rewrite, the scores it rests on (if any), and the tokens read for them."""

    step: int
    scores: tuple[float, ...] | None = None
    scored_tokens: int = 0


class StepChooser(Protocol):
    """Chooses the thought to rewrite in each failed attempt."""

    def choose(self, failed: Sequence[FailedAttempt]) -> list[StepChoice]:
        """One choice for each attempt, in order."""


class RandomStep:
    """Any step, with equal probability."""

    def choose(self, failed: Sequence[FailedAttempt]) -> list[StepChoice]:
        """Draws from each attempt's own seed."""
        return [
            StepChoice(
                random.Random(stable_seed("step", f.seed)).randrange(len(f.attempt.thoughts))
            )
            for f in failed
        ]


class LastStep:
    """Always the last step."""

    def choose(self, failed: Sequence[FailedAttempt]) -> list[StepChoice]:
        """The last index of each."""
        return [StepChoice(len(f.attempt.thoughts) - 1) for f in failed]


# Monte-Carlo labels of some twenty rollouts cannot tell scores apart that differ by less.
SCORE_TIE = 0.05


def lowest_step(scores: np.ndarray, tie: float = SCORE_TIE) -> int:
    """The earliest step whose score is within `tie` of the lowest.

    Behind a wrong step all values are low and differ by noise only; the first of them is the one
    to rewrite. With tie = 0 this is the argmin of the paper.
    """
    return int(np.flatnonzero(scores <= scores.min() + tie)[0])


class LowestScore:
    """The step with the lowest PRM score; the earliest of those that tie (METHOD: GVR)."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def choose(self, failed: Sequence[FailedAttempt]) -> list[StepChoice]:
        """Scores all attempts in one batch; one too long for the PRM is rewritten at its end."""
        inputs = [
            StepInput(
                f.problem.statement, f.attempt.thoughts, f.attempt.program, f.attempt.feedback
            )
            for f in failed
        ]
        choices = []
        for item, scored in zip(failed, self._scorer.score_each(inputs), strict=True):
            if isinstance(scored, ExampleTooLongError):
                logger.warning("an attempt on %s is too long to score", item.problem.id)
                choices += LastStep().choose([item])
            elif isinstance(scored, InputError):
                raise scored
            else:
                choices.append(self._choice(scored))
        return choices

    @staticmethod
    def _choice(scored: StepScores) -> StepChoice:
        scores = tuple(map(float, scored.scores))
        return StepChoice(lowest_step(scored.scores), scores, scored.tokens)
