"""The PRM as searches use it: their traces share its batches, here or behind a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from codeprm_jax.data.layout import ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError
from codeprm_jax.scoring.batcher import Batcher, ExampleScorer
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.search.stages import Stage

REMOTE_CALLS = 16  # to a server at once
DECIMALS = 5  # of a score: ways of computing it seldom differ there, and by one unit at most


class Scoring:
    """Scores traces within one event loop; made by `open_scoring`.

    Attributes:
      fingerprint, view: the scorer's.
      max_tokens: the most that scoring one trace can cost.
      stage: how busy the scorer is.
    """

    def __init__(self, scorer: Scorer, batcher: Batcher | None, stage: Stage) -> None:
        self.fingerprint, self.view = scorer.fingerprint, scorer.view
        self.max_tokens = scorer.max_tokens
        self.stage = stage
        self._scorer, self._batcher = scorer, batcher
        self._threads = ThreadPoolExecutor(stage.capacity, "scorer")

    async def score(self, item: StepInput, view: View, client: str) -> dict[str, Any]:
        """{"scores": list or None, "tokens": read for them}; None where the trace is too long.

        Raises InputError for any other reason why it cannot be scored.
        """
        if self._batcher is not None:
            (found,) = await self._batcher.score_each([item], client, view)
        else:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, self._score, item, view)
        if isinstance(found, ExampleTooLongError):
            return {"scores": None, "tokens": 0}
        if isinstance(found, InputError):
            raise found
        return {"scores": [round(float(s), DECIMALS) for s in found.scores], "tokens": found.tokens}

    def _score(self, item: StepInput, view: View) -> StepScores | InputError:
        with self.stage:
            return self._scorer.score_each([item], view)[0]


@contextlib.asynccontextmanager
async def open_scoring(scorer: Scorer) -> AsyncIterator[Scoring]:
    """`scorer` for many searches: in batches that they share if it is in this process."""
    if not hasattr(scorer, "lay_out_each"):
        yield Scoring(scorer, None, Stage("scoring", REMOTE_CALLS))
        return
    stage = Stage("scoring", 1)
    batcher = Batcher(cast(ExampleScorer, scorer), on_batch=lambda _, seconds: stage.add(seconds))
    async with batcher:
        yield Scoring(scorer, batcher, stage)
