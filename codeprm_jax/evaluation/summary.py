"""What a benchmark's searches come to: per group of problems and arm, with intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import comb
from typing import Any

import numpy as np

from codeprm_jax.evaluation.bootstrap import mean_interval
from codeprm_jax.policies.policy import Policy
from codeprm_jax.search.ledger import Budget
from codeprm_jax.search.search import MAX_FAILED_DRAWS

Record = Mapping[str, Any]
CURVE_POINTS = 16  # of a curve over the budget, where its unit is not counted one by one


def summarise(
    records: Sequence[Record], policy: Policy, arms: Sequence[str], budget: Budget
) -> dict[str, Any]:
    """Per group and arm: pass@1, mean private pass rate, curves, spending, refinements.

    Intervals are 95 % bootstrap intervals over problems. `versus` holds the paired difference in
    pass@1 of every two arms, first minus second, on the same problems and samples.
    """
    groups: dict[str, Any] = {}
    for group in sorted({r["group"] for r in records}):
        members = {
            arm: [r for r in records if r["group"] == group and r["arm"] == arm] for arm in arms
        }
        solved_by = {arm: by_problem(members[arm], solved) for arm in arms}
        groups[group] = {
            "problems": len(solved_by[arms[0]]),
            "arms": {arm: _arm(members[arm], budget) for arm in arms},
            "versus": {
                f"{first} - {second}": mean_interval(
                    [solved_by[first][p] - solved_by[second][p] for p in solved_by[first]]
                )
                for second in arms
                for first in arms
                if first != second
            },
        }
    return {
        "policy": policy.name,
        "simulated": policy.simulated,
        "budget": asdict(budget),
        "arms": list(arms),
        "groups": groups,
    }


def solved(record: Record) -> float:
    """1 if the answer passes all private tests, else 0."""
    return float(record["private"]["passed"] == record["private"]["total"])


def pass_rate(record: Record) -> float:
    """The share of private tests that the answer passes."""
    return record["private"]["passed"] / record["private"]["total"]


def by_problem(records: Sequence[Record], value: Callable[[Record], float]) -> dict[str, float]:
    """Mean over repeats of `value`, by problem id."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        values[record["problem_id"]].append(value(record))
    return {problem: float(np.mean(v)) for problem, v in sorted(values.items())}


def pass_at_k(samples: int, passing: int, k: int) -> float:
    """The chance that one of k out of `samples` programs passes (Chen et al. 2021), unbiased."""
    return 1.0 - comb(samples - passing, k) / comb(samples, k)


def _arm(records: Sequence[Record], budget: Budget) -> dict[str, Any]:
    keys = ("spent", "generated_tokens", "prompt_tokens", "executions", "scored_tokens")
    return {
        "searches": len(records),
        "pass_at_1": mean_interval(list(by_problem(records, solved).values())),
        "pass_rate": mean_interval(list(by_problem(records, pass_rate).values())),
        "pass_at_k": _pass_at_k(records),
        "curve": _curve(records, budget),
        "spent": {k: float(np.mean([r["ledger"][k] for r in records])) for k in keys},
        "most_spent": max(r["ledger"]["spent"] for r in records),
        "refinements": _refinements(records),
        "ended": dict(Counter(r["ended"] for r in records)),
        "failures": dict(sum((Counter(r["failures"]) for r in records), Counter[str]())),
    }


def _pass_at_k(records: Sequence[Record]) -> dict[str, tuple[float, float, float]]:
    """By k, up to the fewest samples of a search; of an arm that draws fresh samples to the end.

    A sample for which the policy gave no program, and nothing was run, is one that does not pass.
    """
    if any(
        a["parent"] is not None or a["node"] is not None for r in records for a in r["attempts"]
    ) or any(r["ended"] == "solved" for r in records):
        return {}

    def at(k: int) -> Callable[[Record], float]:
        return lambda r: pass_at_k(_samples(r), sum(map(_passes, r["attempts"])), k)

    return {
        str(k): mean_interval(list(by_problem(records, at(k)).values()))
        for k in range(1, min(map(_samples, records)) + 1)
    }


def _samples(record: Record) -> int:
    """Fresh samples of a search up to its last program; all of them where it gave up."""
    ran = max((a["sample"] + 1 for a in record["attempts"]), default=0)
    return ran + (MAX_FAILED_DRAWS if record["ended"] == "gave up" else 0)


def _curve(records: Sequence[Record], budget: Budget) -> list[tuple[float, float]]:
    """(spent, pass@1 of the answer by then): what a smaller budget would have given."""
    points = int(budget.amount) if budget.unit == "executions" else CURVE_POINTS

    def solved_by(spent: float) -> Callable[[Record], float]:
        def value(record: Record) -> float:
            count = sum(a["spent"] <= spent for a in record["attempts"])
            if not count:
                return 0.0
            return float(_passes(record["attempts"][record["best_after"][count - 1]]))

        return value

    levels = [budget.amount * (i + 1) / points for i in range(points)]
    return [
        (level, float(np.mean(list(by_problem(records, solved_by(level)).values()))))
        for level in levels
    ]


def _refinements(records: Sequence[Record]) -> dict[str, int]:
    """Rewrites by what they did to the private pass rate."""
    counts = {"helped": 0, "harmed": 0, "neutral": 0}
    for record in records:
        for attempt in record["attempts"]:
            if attempt["parent"] is not None:
                before = pass_rate(record["attempts"][attempt["parent"]])
                change = pass_rate(attempt) - before
                counts["helped" if change > 0 else "harmed" if change < 0 else "neutral"] += 1
    return counts


def _passes(attempt: Record) -> bool:
    return attempt["private"]["passed"] == attempt["private"]["total"]
