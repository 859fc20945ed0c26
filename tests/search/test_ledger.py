from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.files import InputError
from codeprm_jax.search.ledger import Budget, BudgetExceededError, CostModel, Ledger


@pytest.mark.parametrize(
    ("unit", "fits", "does_not"),
    [
        ("executions", {"executions": 3, "generated": 10**9, "scored": 10**9}, {"executions": 4}),
        ("generated_tokens", {"generated": 3, "executions": 99}, {"generated": 4}),
        ("seconds", {"generated": 50, "executions": 2, "scored": 10_000}, {"executions": 7}),
    ],
)
def test_only_the_unit_of_the_budget_is_bounded(
    unit: Any, fits: dict[str, int], does_not: dict[str, int]
) -> None:
    ledger = Ledger(Budget(3, unit))
    assert ledger.affords(**fits) and not ledger.affords(**does_not)
    with pytest.raises(BudgetExceededError, match="does not cover"):
        ledger.reserve(**does_not)
    ledger.settle(ledger.reserve(**fits), **fits)
    assert ledger.spent == 3 or unit == "seconds"


def test_what_is_reserved_cannot_be_reserved_again_until_it_is_settled() -> None:
    ledger = Ledger(Budget(10, "generated_tokens"))
    held = ledger.reserve(generated=8)
    assert ledger.affordable_tokens(99) == 2
    ledger.settle(held, generated=5)
    assert ledger.affordable_tokens(99) == 5
    with pytest.raises(BudgetExceededError, match="reserved"):
        ledger.settle(ledger.reserve(generated=1), generated=2)


def test_seconds_are_those_of_the_cost_model() -> None:
    costs = CostModel(generated_token=0.25, execution=2.0, scored_token=0.125)
    ledger = Ledger(Budget(10, "seconds", costs))
    ledger.settle(
        ledger.reserve(generated=4, executions=1, scored=8), generated=4, executions=1, scored=8
    )
    assert ledger.spent == 4.0
    assert ledger.affordable_tokens(99) == 24
    assert ledger.affordable_tokens(99, beside_executions=1) == 16


def test_a_token_that_costs_less_than_a_microsecond_is_not_free() -> None:
    budget = Budget(1, "seconds", CostModel(scored_token=4e-7))
    assert budget.amount_of(budget.price(scored=1_000_000)) == 0.4


def test_a_budget_that_nothing_would_spend_is_refused() -> None:
    with pytest.raises(InputError, match="never end a search"):
        Budget(1, "seconds", CostModel(generated_token=0, execution=1e-10))
    assert Budget(1, "executions", CostModel(0, 0, 0)).total == 1


def test_a_budget_bears_what_costs_exactly_as_much() -> None:
    budget = Budget(2.01, "seconds", CostModel(execution=2.01))
    assert Ledger(budget).affords(executions=1)
    assert budget.amount_of(budget.total) == budget.amount


@given(
    unit=st.sampled_from(["executions", "generated_tokens", "seconds"]),
    amount=st.integers(1, 50),
    wanted=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 2), st.integers(0, 90), st.floats(0, 1))
    ),
)
def test_no_sequence_of_reservations_exceeds_the_budget(
    unit: Any, amount: int, wanted: list[tuple[int, int, int, float]]
) -> None:
    ledger, open_ones = Ledger(Budget(amount, unit)), []
    for generated, executions, scored, share in wanted:
        if ledger.affords(generated, executions, scored):
            held = ledger.reserve(generated, executions, scored)
            open_ones.append((held, (int(generated * share), executions, int(scored * share))))
        if share < 0.5 and open_ones:
            held, spent = open_ones.pop(0)
            ledger.settle(held, *spent)
            assert ledger.spent <= amount
    for held, spent in open_ones:
        ledger.settle(held, *spent)
    assert ledger.spent <= amount


@pytest.mark.parametrize("amount", [0, -1, float("nan"), float("inf"), 2.5])
def test_nonsense_budgets_are_refused(amount: float) -> None:
    with pytest.raises(InputError, match="budget"):
        Budget(amount)
    with pytest.raises(InputError, match="0 s or more"):
        CostModel(execution=-1)
