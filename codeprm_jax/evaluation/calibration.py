"""Whether the PRM's scores inside a search mean what they say: against the private tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codeprm_jax.evaluation.summary import pass_rate, solved
from codeprm_jax.scoring.aggregate import aggregate
from codeprm_jax.training.metrics import auroc, expected_calibration_error

BINS = 10


class Calibration:
    """Collects the scored attempts of one group of problems, search by search.

    Args:
      arms: name -> the arm's settings, as in settings.json.
    """

    def __init__(self, arms: Mapping[str, Mapping[str, Any]]) -> None:
        self._arms = arms
        self._scored: dict[str, list[tuple[str, float, float, float, bool]]] = defaultdict(list)
        self._unscored: dict[str, int] = defaultdict(int)

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes in the attempts of a search."""
        arm = record["arm"]
        for attempt in record["attempts"]:
            if not attempt["scores"]:
                self._unscored[arm] += 1
                continue
            score = aggregate(attempt["scores"], self._arms[arm]["aggregate"])
            feedback = attempt["feedback"]
            passed = feedback["passed"] == feedback["total"]
            self._scored[arm].append(
                (record["problem_id"], score, solved(attempt), pass_rate(attempt), passed)
            )

    def result(self) -> dict[str, Any] | None:
        """Calibration in one arm; None if no attempt was scored.

        Arms share their fresh samples, so that attempts of several would count twice. The first
        arm that ranks by the PRM is taken, since it scores whatever it runs; without one, the arm
        with the most scored attempts, which are those that failed.

        Returns:
          arm, aggregate, ranks (whether every attempt was to be scored), attempts, unscored,
          problems, `bins` (`reliability`), ece and ece_pass_rate (against passing all private
          tests, and against the share passed), auroc of the score for passing all private tests,
          and auroc_public on the attempts that pass all public tests alone.
        """
        arms = [arm for arm in self._arms if self._scored[arm]]
        if not arms:
            return None
        ranking = [arm for arm in arms if self._arms[arm]["rank"]]
        arm = ranking[0] if ranking else max(arms, key=lambda a: len(self._scored[a]))
        problems, *columns = zip(*self._scored[arm], strict=True)
        scores, passing, rates, public = (np.array(c, float) for c in columns)
        seen = public.astype(bool)
        return {
            "arm": arm,
            "aggregate": self._arms[arm]["aggregate"],
            "ranks": bool(ranking),
            "attempts": len(scores),
            "unscored": self._unscored[arm],
            "problems": len(set(problems)),
            "bins": reliability(problems, scores, passing, rates),
            "ece": expected_calibration_error(passing, scores, BINS),
            "ece_pass_rate": expected_calibration_error(rates, scores, BINS),
            "auroc": auroc(passing.astype(bool), scores),
            "auroc_public": auroc(passing[seen].astype(bool), scores[seen]),
        }


def reliability(
    problems: Sequence[str], scores: np.ndarray, solved: np.ndarray, rates: np.ndarray
) -> list[dict[str, Any]]:
    """Bins of equal width that hold anything: what was scored so, and what came of it.

    Args:
      problems: problem id of each attempt; attempts of one problem are resampled together.
      scores, solved, rates: float[attempts] in [0, 1].

    Returns:
      for each bin: low, high, attempts, problems, score (mean), solved (share),
      solved_interval (share, low, high: 95 % bootstrap over problems), pass_rate (mean).
    """
    index = np.minimum((scores * BINS).astype(int), BINS - 1)
    names, place = np.unique(np.asarray(problems), return_inverse=True)
    bins = []
    for number in np.unique(index):
        inside = index == number
        count = np.bincount(place[inside], minlength=len(names))
        passing = np.bincount(place[inside], solved[inside], minlength=len(names))
        share = float(solved[inside].mean())
        bins.append(
            {
                "low": float(number / BINS),
                "high": float((number + 1) / BINS),
                "attempts": int(inside.sum()),
                "problems": int((count > 0).sum()),
                "score": float(scores[inside].mean()),
                "solved": share,
                "solved_interval": (share, *_ratio_interval(passing, count)),
                "pass_rate": float(rates[inside].mean()),
            }
        )
    return bins


def _ratio_interval(passing: np.ndarray, count: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of sum(passing) / sum(count) over problems, float[problems] each."""
    held = count > 0
    passing, count = passing[held], count[held]
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(count), (2000, len(count)))
    low, high = np.quantile(passing[drawn].sum(1) / count[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)
