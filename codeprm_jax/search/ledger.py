"""What a search has spent, counted at the moment it is spent."""

from __future__ import annotations

from dataclasses import dataclass


class BudgetExceededError(RuntimeError):
    """A search asked for more than its budget: a defect of the search, never a result."""


@dataclass
class Ledger:
    """The account of one search on one problem.

    An execution is one program run on the problem's public tests, whether or not the result was
    remembered from an earlier run of the same program.

    Attributes:
      max_executions: the budget; everything else is counted without a bound.
      generated_tokens: tokens of thoughts and programs, in the policy's unit.
      executions: programs run.
      scored_tokens: tokens the PRM read.
    """

    max_executions: int
    generated_tokens: int = 0
    executions: int = 0
    scored_tokens: int = 0

    @property
    def executions_left(self) -> int:
        """What remains of the budget."""
        return self.max_executions - self.executions

    def generate(self, tokens: int) -> None:
        """Counts generated tokens."""
        self.generated_tokens += tokens

    def execute(self) -> None:
        """Counts an execution. Raises BudgetExceededError before the budget is overdrawn."""
        if self.executions_left < 1:
            raise BudgetExceededError(f"all {self.max_executions} executions are spent")
        self.executions += 1

    def score(self, tokens: int) -> None:
        """Counts scored tokens."""
        self.scored_tokens += tokens

    def to_json(self) -> dict[str, int]:
        """What was spent."""
        return {
            "generated_tokens": self.generated_tokens,
            "executions": self.executions,
            "scored_tokens": self.scored_tokens,
        }
