"""The interface of whoever writes thoughts and programs.

Requests come in batches and each carries its own seed, so that an answer does not depend on what
else is in the batch. A request holds a `PublicProblem`: no policy sees a private test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import Feedback


@dataclass(frozen=True)
class ProposeRequest:
    """Asks for the thoughts that complete a prefix (empty: from the start)."""

    problem: PublicProblem
    prefix: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class ImplementRequest:
    """Asks for the program that carries out complete thoughts."""

    problem: PublicProblem
    thoughts: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class RefineRequest:
    """Asks for another thought in place of thought number `step` (from 0) of a failed attempt."""

    problem: PublicProblem
    thoughts: tuple[str, ...]
    program: str
    feedback: Feedback
    step: int
    seed: int


@dataclass(frozen=True)
class Thoughts:
    """Proposed thoughts, without the prefix, and the tokens they cost."""

    thoughts: tuple[str, ...]
    tokens: int


@dataclass(frozen=True)
class Text:
    """A program or a rewritten thought, and the tokens it cost."""

    text: str
    tokens: int


class Policy(Protocol):
    """A generator of thoughts and programs. Answers are in the order of the requests."""

    @property
    def name(self) -> str:
        """What a report calls it, settings included."""

    def propose(self, requests: Sequence[ProposeRequest]) -> list[Thoughts]:
        """Thoughts that complete each prefix."""

    def implement(self, requests: Sequence[ImplementRequest]) -> list[Text]:
        """A program for each list of thoughts."""

    def refine(self, requests: Sequence[RefineRequest]) -> list[Text]:
        """Another thought for each named step."""
