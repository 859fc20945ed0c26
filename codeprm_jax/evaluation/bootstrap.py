"""Paired bootstrap over problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean_interval(
    values: Sequence[float] | np.ndarray, samples: int = 4000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """(mean, low, high): the percentile interval of the mean over resampled problems.

    Give one value a problem (its mean over repeats), so that repeats of a problem, which are not
    independent, are resampled together. For a paired comparison give the differences. The interval
    is (NaN, NaN, NaN) for no values (Efron and Tibshirani 1993, chapter 13).
    """
    array = np.asarray(values, float)
    if array.size == 0:
        return (float("nan"),) * 3
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, array.size, (samples, array.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(array.mean()), float(low), float(high)
