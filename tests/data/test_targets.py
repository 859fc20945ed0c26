from __future__ import annotations

import numpy as np
import pytest

from codeprm_jax.data.targets import LabelConfig, sibling_groups, sibling_pairs
from codeprm_jax.files import InputError
from codeprm_jax.traces.trace import StepCounts, Trace

STEPS = (
    StepCounts(passes=3, trials=12, pass_rate_sum=9.0),
    StepCounts(passes=1, trials=4, pass_rate_sum=2.0),
    StepCounts(passes=0, trials=4, pass_rate_sum=1.0),
    StepCounts(passes=1, trials=1, pass_rate_sum=1.0),
)


@pytest.mark.parametrize(
    ("config", "targets", "weights"),
    [
        (LabelConfig(), [0.75, 0.5, 0.25, 1], [1, 1, 1, 1]),
        (LabelConfig("success_rate"), [0.25, 0.25, 0, 1], [1, 1, 1, 1]),
        (LabelConfig("pass_rate", "hard"), [1, 0, 0, 1], [1, 1, 1, 1]),
        (LabelConfig("pass_rate", "hard", 0.4), [1, 1, 0, 1], [1, 1, 1, 1]),
        (LabelConfig("success_rate", "hard", 0.0), [1, 1, 0, 1], [1, 1, 1, 1]),
        (LabelConfig("success_rate", "first_error", 0.0), [1, 1, 0, 1], [1, 1, 1, 0]),
        (LabelConfig("pass_rate", "first_error"), [1, 0, 0, 1], [1, 1, 0, 0]),
        (LabelConfig("pass_rate", "first_error", 0.1), [1, 1, 1, 1], [1, 1, 1, 1]),
        (LabelConfig(weigh_trials=True), [0.75, 0.5, 0.25, 1], [12, 4, 4, 1]),
        (LabelConfig("pass_rate", "first_error", 0.5, True), [1, 0, 0, 1], [12, 4, 0, 0]),
    ],
)
def test_labels_follow_from_counts(
    config: LabelConfig, targets: list[float], weights: list[float]
) -> None:
    found, counted = config.of(STEPS)
    assert found.dtype == counted.dtype == np.float32
    assert found.tolist() == targets and counted.tolist() == weights


def test_weighing_by_trials_is_the_likelihood_of_the_rollouts() -> None:
    """Weighted cross-entropy against the rate = the sum over rollouts of each one's own."""
    targets, weights = LabelConfig("success_rate", weigh_trials=True).of(STEPS)
    score = np.array([0.3, 0.6, 0.2, 0.9])

    def cross_entropy(y: np.ndarray, p: np.ndarray) -> np.ndarray:
        return -(y * np.log(p) + (1 - y) * np.log(1 - p))

    rollouts = sum(
        s.passes * -np.log(p) + (s.trials - s.passes) * -np.log(1 - p)
        for s, p in zip(STEPS, score, strict=True)
    )
    np.testing.assert_allclose((weights * cross_entropy(targets, score)).sum(), rollouts, rtol=1e-6)


def test_a_threshold_that_no_rate_can_pass_is_refused() -> None:
    with pytest.raises(InputError, match=r"threshold 1\.0"):
        LabelConfig(threshold=1.0)


def test_siblings_continue_the_same_thoughts_of_the_same_problem() -> None:
    one, two = Trace("1", "p", ("a", "b"), ""), Trace("2", "p", ("a", "c"), "")
    other = Trace("3", "q", ("a", "b"), "")
    first, second, third = map(sibling_groups, (one, two, other))
    assert (first == second).all() and not (first == third).any()
    assert first[0] != first[1]
    # A text that looks like two thoughts is one.
    assert (
        sibling_groups(Trace("4", "p", ("a\x1fb", "c"), ""))[1]
        != sibling_groups(Trace("5", "p", ("a", "b", "c"), ""))[2]
    )


def test_pairs_are_ordered_weighted_and_leave_masked_steps_out() -> None:
    groups = np.array([7, 7, 7, 8, 7])
    targets = np.array([0.5, 0.0, 0.5, 1.0, 1.0], np.float32)
    weights = np.array([1, 1, 1, 1, 0], np.float32)
    pairs, margins = sibling_pairs(groups, targets, weights)
    assert pairs.tolist() == [[0, 1], [2, 1]] and margins.tolist() == [0.5, 0.5]
