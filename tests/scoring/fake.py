"""A scorer with no model: a trace's score is the number that is its statement."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from codeprm_jax.data.layout import Example, ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError
from codeprm_jax.scoring.scorer import StepScores


def trace(number: int, tokens: int = 10) -> StepInput:
    return StepInput(str(number), ("thought",), "x" * tokens)


class FakeScorer:
    """Keeps what it scored, in order. `gate` holds a batch until it is set."""

    def __init__(self, seconds: float = 0.0, limit: int = 1000) -> None:
        self.seconds, self.limit = seconds, limit
        self.batches: list[list[int]] = []
        self.tokens: list[int] = []
        self.poison: dict[int, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()

    @property
    def scored(self) -> list[int]:
        return [number for batch in self.batches for number in batch]

    def lay_out_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[Example | ExampleTooLongError]:
        if view is not None:
            raise InputError(f"no view {view}")
        found: list[Example | ExampleTooLongError] = []
        for item in inputs:
            length = len(item.program)
            if item.statement == "unreadable":
                raise TypeError("no text")
            if length > self.limit:
                found.append(ExampleTooLongError(f"{length} of {self.limit}", length, self.limit))
            else:
                tokens = np.full(length, int(item.statement), np.int32)
                found.append(Example(tokens, np.array([length - 1])))
        return found

    def score_examples(self, examples: Sequence[Example]) -> list[StepScores | InputError]:
        self.gate.wait(20)
        time.sleep(self.seconds)
        numbers = [int(e.tokens[0]) for e in examples]
        for number in numbers:
            if number in self.poison:
                raise self.poison[number]
        self.batches.append(numbers)
        self.tokens += [e.length for e in examples]
        return [
            StepScores(np.array([n], np.float32), e.length)
            for n, e in zip(numbers, examples, strict=True)
        ]
