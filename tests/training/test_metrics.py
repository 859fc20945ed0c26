from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.training.metrics import auroc, expected_calibration_error, regression_metrics


@given(
    data=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40),
)
def test_auroc_is_the_share_of_pairs_in_order(data: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([d[0] for d in data]), np.array([d[1] for d in data], float)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels] for n in scores[~labels]]
    if pairs:
        assert abs(auroc(labels, scores) - np.mean(pairs)) < 1e-9
    else:
        assert np.isnan(auroc(labels, scores))


def test_perfect_and_constant_predictions() -> None:
    targets = np.array([0.0, 0.25, 1.0, 0.5])
    reachable = targets > 0.3
    perfect = regression_metrics(targets, targets, reachable)
    assert perfect["mse"] == perfect["mae"] == perfect["ece"] == 0
    assert perfect["r2"] == perfect["auroc"] == 1
    mean = regression_metrics(targets, np.full(4, targets.mean()), reachable)
    assert abs(mean["r2"]) < 1e-12 and mean["auroc"] == 0.5
    assert np.isnan(regression_metrics(np.ones(3), np.ones(3), np.ones(3, bool))["r2"])


def test_calibration_error_by_hand() -> None:
    scores = np.array([0.1, 0.12, 0.9, 1.0])
    targets = np.array([0.0, 0.0, 1.0, 1.0])
    expected = (2 * 0.11 + 2 * 0.05) / 4
    assert abs(expected_calibration_error(targets, scores) - expected) < 1e-12
