"""What rewriting a thought did to the private pass rate, by arm and by the thought's place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from codeprm_jax.evaluation.summary import pass_rate

WHOLE, SEVERAL = "all thoughts", "several"
MAX_STEP = 8  # later thoughts are counted together


class Rewrites:
    """Counts the rewrites of one group of problems, search by search."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._change: defaultdict[str, float] = defaultdict(float)

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes in the rewrites of a search."""
        for attempt in record["attempts"]:
            if attempt["parent"] is None:
                continue
            change = pass_rate(attempt) - pass_rate(record["attempts"][attempt["parent"]])
            effect = "helped" if change > 0 else "harmed" if change < 0 else "neutral"
            self._counts[record["arm"]][_place(attempt["rewritten"])][effect] += 1
            self._change[record["arm"]] += change

    @property
    def places(self) -> list[str]:
        """Where thoughts were rewritten: "step 1" …, "several", "all thoughts"."""
        found = {place for counts in self._counts.values() for place in counts}
        steps = [_step(i) for i in range(MAX_STEP)]
        return [place for place in [*steps, SEVERAL, WHOLE] if place in found]

    def counts(self, arm: str, place: str | None = None) -> dict[str, int]:
        """helped, harmed and neutral of an arm, at one place or at all."""
        counted = self._counts.get(arm, {})
        chosen = [counted.get(place, Counter[str]())] if place else list(counted.values())
        return {e: sum(c[e] for c in chosen) for e in ("helped", "harmed", "neutral")}

    def mean_change(self, arm: str) -> float | None:
        """Mean change of the private pass rate by one rewrite; None where there was none."""
        count = sum(self.counts(arm).values())
        return self._change[arm] / count if count else None


def _place(rewritten: list[int]) -> str:
    if not rewritten:
        return WHOLE
    return _step(rewritten[0]) if len(rewritten) == 1 else SEVERAL


def _step(index: int) -> str:
    return f"step {index + 1}" if index < MAX_STEP - 1 else f"step {MAX_STEP} or later"
