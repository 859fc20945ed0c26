"""Chains of steps: what the mutation policy knows about a problem in place of a language model.

A chain cuts one solution into consecutive steps. Every step has one right variant and several
plausible wrong ones; a variant is a thought in words and the fragment of code that does what the
thought says. The program of a choice of variants is the fragments, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """A thought (one or two sentences) and the source lines that carry it out."""

    thought: str
    code: str


@dataclass(frozen=True)
class ChainStep:
    """One step: variant 0 is right, variants 1, 2, … are wrong."""

    right: Variant
    wrong: tuple[Variant, ...]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The right variant, then the wrong ones."""
        return (self.right, *self.wrong)

    def find(self, thought: str) -> int | None:
        """The index of the variant with this thought; None where there is none."""
        for index, variant in enumerate(self.variants):
            if variant.thought == thought:
                return index
        return None


@dataclass(frozen=True)
class Chain:
    """The steps of one problem.

    Attributes:
      problem_id: the problem it belongs to.
      steps: one to six steps.
      prologue: source that stands before every program: imports, the `def` line.
      epilogue: source that stands after it.
    """

    problem_id: str
    steps: tuple[ChainStep, ...]
    prologue: str = ""
    epilogue: str = ""

    def __post_init__(self) -> None:
        for number, step in enumerate(self.steps, 1):
            thoughts = [v.thought for v in step.variants]
            if len(set(thoughts)) != len(thoughts):
                raise ValueError(f"{self.problem_id}: step {number} says the same thought twice")

    def program(self, choices: Sequence[int]) -> str:
        """The program for one variant index a step (all zeros: the reference solution)."""
        if len(choices) != len(self.steps):
            raise ValueError(f"{len(choices)} choices for the {len(self.steps)} steps of a chain")
        fragments = [s.variants[c].code for s, c in zip(self.steps, choices, strict=True)]
        parts = (self.prologue, *fragments, self.epilogue)
        return "".join(part if part.endswith("\n") else part + "\n" for part in parts if part)

    @property
    def reference(self) -> str:
        """The program of the right variants."""
        return self.program([0] * len(self.steps))
