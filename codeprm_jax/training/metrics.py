"""Metrics of predicted step scores against labels, on plain numpy arrays."""

from __future__ import annotations

import numpy as np


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties counting half.

    Computed from mid-ranks (Mann and Whitney 1947). NaN where only one class occurs.

    Args:
      labels: bool[n]. scores: float[n].
    """
    labels = np.asarray(labels, bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(midranks[inverse][labels].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def expected_calibration_error(targets: np.ndarray, scores: np.ndarray, bins: int = 10) -> float:
    """Mean |mean target - mean score| over equal-width bins of the score, weighted by their size.

    Guo et al. 2017, with real-valued targets in [0, 1].
    """
    targets, scores = np.asarray(targets, float), np.asarray(scores, float)
    index = np.minimum((scores * bins).astype(int), bins - 1)
    sizes = np.bincount(index, minlength=bins)
    gaps = np.abs(
        np.bincount(index, targets, minlength=bins) - np.bincount(index, scores, minlength=bins)
    )
    return float(gaps.sum() / sizes.sum())


def regression_metrics(
    targets: np.ndarray, scores: np.ndarray, reachable: np.ndarray
) -> dict[str, float]:
    """Metrics of step scores.

    Args:
      targets: float[n], soft labels in [0, 1].
      scores: float[n], predictions in [0, 1].
      reachable: bool[n], whether some rollout through the step passed everything.

    Returns:
      mse, mae, r2 (1 - residual / total sum of squares; NaN for constant targets), bce, ece, and
      auroc of the scores for `reachable`.
    """
    targets, scores = np.asarray(targets, float), np.asarray(scores, float)
    residual = targets - scores
    total = float(((targets - targets.mean()) ** 2).sum())
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    bce = -(targets * np.log(clipped) + (1 - targets) * np.log1p(-clipped))
    return {
        "mse": float((residual**2).mean()),
        "mae": float(np.abs(residual).mean()),
        "r2": 1 - float((residual**2).sum()) / total if total > 0 else float("nan"),
        "bce": float(bce.mean()),
        "ece": expected_calibration_error(targets, scores),
        "auroc": auroc(reachable, scores),
    }
