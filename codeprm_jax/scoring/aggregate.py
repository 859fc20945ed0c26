"""One score for a trace from the scores of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from codeprm_jax.files import InputError

# The last step's score sees all that came before it; the least one blames the weakest step; the
# product reads the scores as probabilities of independent steps.
Aggregate = Literal["last", "min", "mean", "product", "max"]
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)

_FUNCTIONS: Mapping[Aggregate, Callable[[np.ndarray], float]] = {
    "last": lambda scores: scores[-1],
    "min": np.min,
    "mean": np.mean,
    "product": np.prod,
    "max": np.max,
}


def aggregate(scores: np.ndarray | Sequence[float], how: Aggregate) -> float:
    """The score of a trace, from the scores float[steps] of its steps.

    Raises InputError if there are no steps, or if there is no such aggregate.
    """
    values = np.asarray(scores, np.float64)
    if how not in _FUNCTIONS:
        raise InputError(f"aggregate {how!r} is none of {', '.join(AGGREGATES)}")
    if values.ndim != 1 or not values.size:
        raise InputError(f"{how} needs the scores of one step or more, not shape {values.shape}")
    return float(_FUNCTIONS[how](values))
