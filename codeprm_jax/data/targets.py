"""What a PRM learns from the counts of the label store: targets, weights and sibling pairs.

The store keeps passes, trials and pass rates of every step; what is derived from them is chosen
when a run loads them, and nothing is executed again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.traces.trace import StepCounts, Target, Trace

Label = Literal["soft", "hard", "first_error"]


@dataclass(frozen=True)
class LabelConfig:
    """How counts become targets.

    Attributes:
      target: the rate of a step: "pass_rate", the paper's label (mean share of passed tests over
        the rollouts through it), or "success_rate" (share of those rollouts that pass everything).
      kind: "soft", the rate itself; "hard", 1 where the rate is above the threshold, else 0;
        "first_error", hard, with the steps behind the first 0 left out of the loss: after a wrong
        step the others say nothing about themselves (ProcessBench, PRM800K).
      threshold: of hard labels, in [0, 1).
      weigh_trials: a step counts in the loss as often as it has rollouts. With the success rate and
        the loss "bce" this is the likelihood of the rollouts' outcomes; without it a rate of one
        rollout counts as much as a rate of sixty.
    """

    target: Target = "pass_rate"
    kind: Label = "soft"
    threshold: float = 0.5
    weigh_trials: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise InputError(f"label threshold {self.threshold} must be in [0, 1)")

    def of(self, steps: Sequence[StepCounts]) -> tuple[np.ndarray, np.ndarray]:
        """(targets in [0, 1], weights >= 0) of one trace's steps, float32[steps] each."""
        rates = np.array([s.label(self.target) for s in steps], np.float64)
        trials = np.array([s.trials for s in steps], np.float64)
        weights = trials if self.weigh_trials else np.ones(len(steps))
        if self.kind == "soft":
            return rates.astype(np.float32), weights.astype(np.float32)
        hard = rates > self.threshold
        if self.kind == "first_error" and not hard.all():
            weights[int(np.argmin(hard)) + 1 :] = 0
        return hard.astype(np.float32), weights.astype(np.float32)


def sibling_groups(trace: Trace) -> np.ndarray:
    """int64[steps]: equal for two steps, of any traces, that continue the same thoughts."""
    return np.array(
        [
            stable_seed("siblings", json.dumps([trace.problem_id, *trace.thoughts[:depth]]))
            for depth in range(len(trace.thoughts))
        ],
        np.int64,
    )


def sibling_pairs(
    groups: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of siblings of which one has the higher target.

    Args:
      groups: int64[n]; targets, weights: float32[n]. Steps of weight 0 are in no pair.

    Returns:
      int32[pairs, 2]: indices of the better and of the worse step; and float32[pairs]: by how much
      the better one is better, which is how much the pair counts: two rates of few rollouts that
      hardly differ say little about which is larger.
    """
    difference = targets[:, None] - targets[None, :]
    paired = (groups[:, None] == groups[None, :]) & (difference > 0)
    paired &= (weights[:, None] > 0) & (weights[None, :] > 0)
    better, worse = np.nonzero(paired)
    return np.stack([better, worse], 1).astype(np.int32), difference[better, worse]
