"""The form in which a bank problem is written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from codeprm_jax.problems.chain import Chain, ChainStep, Variant
from codeprm_jax.problems.problem import PrivateTests, Problem, PublicProblem
from sandbox_runner.types import FunctionTest, Limits, StdinTest, TestCase

# Small limits: a bank program that is right needs a few milliseconds.
BANK_LIMITS = Limits(cpu_s=1.0, wall_s=4.0, memory_mib=256)


@dataclass(frozen=True)
class BankEntry:
    """One hand-written problem.

    Attributes:
      name: the id is "bank/" + name.
      entry_point: the function's name, or None for a stdin program.
      public, private: (arguments, expected) for functions, with arguments a tuple;
        (stdin, stdout) for programs.
      chain: prologue and steps; its right variants are the reference solution.
    """

    name: str
    difficulty: str
    statement: str
    public: tuple[tuple[Any, Any], ...]
    private: tuple[tuple[Any, Any], ...]
    steps: tuple[ChainStep, ...]
    entry_point: str | None = None
    prologue: str = ""
    epilogue: str = ""
    comparator: str | None = None
    limits: Limits = field(default=BANK_LIMITS)

    @property
    def chain(self) -> Chain:
        """The chain of steps for the mutation policy."""
        return Chain(f"bank/{self.name}", self.steps, self.prologue, self.epilogue)

    @property
    def problem(self) -> Problem:
        """The problem with its tests and its reference solution."""
        public = PublicProblem(
            id=f"bank/{self.name}",
            source="bank",
            statement=self.statement.strip(),
            kind="function" if self.entry_point else "stdin",
            entry_point=self.entry_point,
            starter_code=self.prologue if self.entry_point else "",
            tests=self._tests("public", self.public),
            comparator=self.comparator,
            limits=self.limits,
            difficulty=self.difficulty,
            licence="Apache-2.0",
        )
        private = PrivateTests(self._tests("private", self.private))
        return Problem(public, private, references=(self.chain.reference,))

    def _tests(self, half: str, pairs: Sequence[tuple[Any, Any]]) -> tuple[TestCase, ...]:
        if self.entry_point:
            return tuple(
                FunctionTest(id=f"{half}-{i}", args=args, expected=expected)
                for i, (args, expected) in enumerate(pairs)
            )
        return tuple(
            StdinTest(id=f"{half}-{i}", input=stdin, output=stdout)
            for i, (stdin, stdout) in enumerate(pairs)
        )


def step(right: tuple[str, str], *wrong: tuple[str, str]) -> ChainStep:
    """A step from (thought, code) pairs, the right one first."""
    return ChainStep(Variant(*right), tuple(Variant(*pair) for pair in wrong))


__all__ = ["BankEntry", "step"]
