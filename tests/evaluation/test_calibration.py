from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codeprm_jax.evaluation.calibration import Calibration, reliability
from codeprm_jax.evaluation.rewrites import Rewrites

ARMS: dict[str, dict[str, Any]] = {
    "refines": {"aggregate": "min", "rank": False},
    "ranks": {"aggregate": "last", "rank": True},
}


def attempt(
    score: float | None, passed: int, public: bool = False, **changes: Any
) -> dict[str, Any]:
    return {
        "scores": None if score is None else [0.05, score],
        "private": {"passed": passed, "total": 2},
        "feedback": {"passed": int(public), "total": 1},
        "parent": None,
        "rewritten": [],
    } | changes


def search(arm: str, *attempts: dict[str, Any], problem: str = "p") -> dict[str, Any]:
    return {"problem_id": problem, "arm": arm, "attempts": list(attempts)}


def test_scores_that_mean_what_they_say_have_no_error() -> None:
    calibration = Calibration(ARMS)
    for problem in "ab":
        quarter = [attempt(0.25, 2 if i < 1 else 0) for i in range(4)]
        three = [attempt(0.75, 2 if i < 3 else 0, public=True) for i in range(4)]
        calibration.add(search("ranks", *quarter, *three, attempt(None, 0), problem=problem))
    found = calibration.result()
    assert found is not None
    assert found["ece"] == pytest.approx(0) and found["ece_pass_rate"] == pytest.approx(0)
    assert (found["attempts"], found["unscored"], found["problems"]) == (16, 2, 2)
    assert found["auroc"] == pytest.approx(0.75) and found["auroc_public"] == pytest.approx(0.5)
    assert [(b["low"], b["attempts"], b["solved"]) for b in found["bins"]] == [
        (0.2, 8, 0.25),
        (0.7, 8, 0.75),
    ]


def test_an_arm_that_ranks_is_preferred_to_one_that_scores_failures() -> None:
    calibration = Calibration(ARMS)
    assert calibration.result() is None
    calibration.add(search("refines", *[attempt(0.9, 0)] * 5))
    found = calibration.result()
    assert found is not None and not found["ranks"] and found["arm"] == "refines"
    assert found["bins"][0]["score"] == pytest.approx(0.05), "the arm's aggregate is min"
    calibration.add(search("ranks", attempt(0.9, 2)))
    found = calibration.result()
    assert found is not None and found["ranks"] and found["attempts"] == 1


def test_intervals_resample_problems() -> None:
    """Sixty attempts of two problems that disagree are not sixty observations."""
    scores, rates = np.full(60, 0.5), np.zeros(60)
    solved = np.repeat([0.0, 1.0], 30)
    (one,) = reliability(["a"] * 30 + ["b"] * 30, scores, solved, rates)
    assert one["solved_interval"] == (0.5, 0.0, 1.0)
    (many,) = reliability([str(i) for i in range(60)], scores, solved, rates)
    assert many["solved_interval"][1] > 0.3
    (top,) = reliability(["a"], np.ones(1), np.ones(1), np.ones(1))
    assert (top["low"], top["high"]) == (0.9, 1.0)


def test_rewrites_are_counted_by_place_and_effect() -> None:
    rewrites = Rewrites()
    attempts = [
        attempt(None, 0),
        attempt(None, 1, parent=0, rewritten=[1]),
        attempt(None, 0, parent=1, rewritten=[1]),
        attempt(None, 0, parent=2, rewritten=[0, 2]),
        attempt(None, 2, parent=3, rewritten=[]),
        attempt(None, 2, parent=4, rewritten=[11]),
    ]
    rewrites.add(search("refines", *attempts))
    assert rewrites.places == ["step 2", "step 8 or later", "several", "all thoughts"]
    assert rewrites.counts("refines") == {"helped": 2, "harmed": 1, "neutral": 2}
    assert rewrites.counts("refines", "step 2") == {"helped": 1, "harmed": 1, "neutral": 0}
    assert rewrites.counts("ranks", "step 2") == {"helped": 0, "harmed": 0, "neutral": 0}
    assert rewrites.mean_change("refines") == pytest.approx(1 / 5)
    assert rewrites.mean_change("ranks") is None
