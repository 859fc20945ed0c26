"""What a search may spend, and what it has spent: counted before it is spent, in whole units.

A budget has one unit: generated tokens, executions, or seconds of a cost model. Whatever a search
does, it reserves the worst case first and settles what it came to afterwards, so that no search
can exceed its budget, not even by what it has under way at the same time.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from codeprm_jax.files import InputError

Unit = Literal["executions", "generated_tokens", "seconds"]

_NANOSECONDS = 1_000_000_000  # whole ones, so that sums are exact


class BudgetExceededError(RuntimeError):
    """More was reserved than was left, or spent than was reserved: a defect, never a result."""


@dataclass(frozen=True)
class CostModel:
    """Seconds that things take, for budgets in seconds; what a machine really took plays no part.

    The defaults are one stream of a 7B model on one accelerator, a suite of tests, and its PRM
    reading in batches. A search's steps are added up, although some could run side by side.
    """

    generated_token: float = 0.02
    execution: float = 0.5
    scored_token: float = 0.0001

    def __post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            if not (math.isfinite(seconds) and seconds >= 0):
                raise InputError(f"the cost of one {name} must be 0 s or more, not {seconds}")


@dataclass(frozen=True)
class Budget:
    """What each arm may spend on each problem.

    Attributes:
      amount: of the unit: programs run on the public tests, tokens of thoughts, programs and
        judgements as the policy counts them, or seconds of the cost model.
      unit: the other two are counted without a bound.
      costs: of a budget in seconds.
    """

    amount: float = 8
    unit: Unit = "executions"
    costs: CostModel = CostModel()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise InputError(f"a budget must be more than 0 {self.unit}, not {self.amount}")
        if self.unit != "seconds" and self.amount != int(self.amount):
            raise InputError(f"a budget in {self.unit} must be a whole number, not {self.amount}")
        if not self.price(generated=1, executions=1):
            raise InputError(
                "tokens and executions that cost nothing would never end a search; give "
                "generated_token or execution a cost"
            )

    def price(self, generated: int = 0, executions: int = 0, scored: int = 0) -> int:
        """What this costs, in executions, tokens, or nanoseconds."""
        match self.unit:
            case "executions":
                return executions
            case "generated_tokens":
                return generated
            case _:
                each = (self.costs.generated_token, self.costs.execution, self.costs.scored_token)
                counts = (generated, executions, scored)
                return sum(n * round(c * _NANOSECONDS) for n, c in zip(counts, each, strict=True))

    @property
    def total(self) -> int:
        """The amount in executions, tokens, or nanoseconds."""
        # Of the decimal number: in floats, 2.01 * 1e9 is a little less than 2,010,000,000.
        return int(Decimal(str(self.amount)) * (_NANOSECONDS if self.unit == "seconds" else 1))

    def amount_of(self, price: int) -> float:
        """A price in the budget's unit."""
        return price / _NANOSECONDS if self.unit == "seconds" else price


@dataclass(frozen=True)
class Reservation:
    """The worst case of something under way."""

    generated: int = 0
    executions: int = 0
    scored: int = 0


class Ledger:
    """The account of one search on one problem.

    An execution is one program run on the problem's public tests, whether or not the result was
    remembered from an earlier run of the same program; so with tokens that were generated or
    scored before, for another search.

    Attributes:
      generated_tokens: of thoughts, programs and judgements, in the policy's unit.
      prompt_tokens: read by the policy for them; counted, and never bounded.
      executions: programs run.
      scored_tokens: tokens of the traces that the PRM scored.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.generated_tokens = self.prompt_tokens = self.executions = self.scored_tokens = 0
        self._reserved = 0

    @property
    def spent(self) -> float:
        """In the budget's unit."""
        return self.budget.amount_of(self._spent)

    def affords(self, generated: int = 0, executions: int = 0, scored: int = 0) -> bool:
        """Whether what is neither spent nor reserved covers this."""
        return self.budget.price(generated, executions, scored) <= self._left

    def affordable_tokens(self, most: int, beside_executions: int = 0) -> int:
        """The most generated tokens, up to `most`, that what is left covers beside executions."""
        each = self.budget.price(generated=1)
        left = self._left - self.budget.price(executions=beside_executions)
        return most if not each else max(0, min(most, left // each))

    def reserve(self, generated: int = 0, executions: int = 0, scored: int = 0) -> Reservation:
        """Sets the worst case aside. Raises BudgetExceededError if `affords` says no."""
        if not self.affords(generated, executions, scored):
            raise BudgetExceededError(
                f"{self.spent:g} of {self.budget.amount:g} {self.budget.unit} are spent, "
                "and the rest does not cover this"
            )
        self._reserved += self.budget.price(generated, executions, scored)
        return Reservation(generated, executions, scored)

    def settle(
        self,
        reservation: Reservation,
        generated: int = 0,
        executions: int = 0,
        scored: int = 0,
        prompt_tokens: int = 0,
    ) -> None:
        """Books what was spent in place of the reservation.

        Raises BudgetExceededError if it is more than was reserved.
        """
        held = self.budget.price(reservation.generated, reservation.executions, reservation.scored)
        price = self.budget.price(generated, executions, scored)
        if price > held:
            raise BudgetExceededError(
                f"{price} were spent where {held} were reserved, in the unit {self.budget.unit}"
            )
        self._reserved -= held
        self.generated_tokens += generated
        self.executions += executions
        self.scored_tokens += scored
        self.prompt_tokens += prompt_tokens

    def to_json(self) -> dict[str, Any]:
        """What was spent; `spent` in the budget's unit."""
        return {
            "spent": self.spent,
            "generated_tokens": self.generated_tokens,
            "prompt_tokens": self.prompt_tokens,
            "executions": self.executions,
            "scored_tokens": self.scored_tokens,
        }

    @property
    def _spent(self) -> int:
        return self.budget.price(self.generated_tokens, self.executions, self.scored_tokens)

    @property
    def _left(self) -> int:
        return self.budget.total - self._spent - self._reserved
