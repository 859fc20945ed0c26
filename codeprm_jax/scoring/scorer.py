"""What scores steps, and what it says of a trace; free of JAX, for those who score elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codeprm_jax.data.layout import StepInput, View
from codeprm_jax.files import InputError


@dataclass(frozen=True)
class StepScores:
    """Scores float32[steps] in [0, 1] of one trace, and the tokens that were read for them."""

    scores: np.ndarray
    tokens: int


class Scorer(Protocol):
    """Whatever scores the steps of traces, in this process or behind a server.

    Attributes:
      fingerprint: tells the model, and the view that it reads, from others.
      view: what it reads of a trace unless a call says otherwise.
      views: what it can read, the least first.
      max_tokens: of a trace, as it is read.
    """

    fingerprint: str
    view: View
    views: tuple[View, ...]
    max_tokens: int

    def score(self, inputs: Sequence[StepInput], view: View | None = None) -> list[StepScores]:
        """One StepScores for each input, in order.

        Raises:
          InputError: a view that the model was not trained to read.
          ExampleTooLongError: a trace that cannot be laid out within the model's limit.
        """
        results = []
        for found in self.score_each(inputs, view):
            if isinstance(found, InputError):
                raise found
            results.append(found)
        return results

    def score_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[StepScores | InputError]:
        """As `score`, but an input that cannot be scored gives its error and spares the others."""
