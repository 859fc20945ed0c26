"""Paired bootstrap over problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_DRAWS = 2**20  # at once: all of them, for thousands of problems, would take gigabytes


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
    rows = max(1, _DRAWS // array.size)
    means = np.concatenate(
        [
            array[rng.integers(0, array.size, (min(rows, samples - i), array.size))].mean(axis=1)
            for i in range(0, samples, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(array.mean()), float(low), float(high)
