"""A scorer's life behind a server: loading, ready, draining."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from codeprm_jax.files import InputError
from codeprm_jax.scoring.aggregate import Aggregate
from codeprm_jax.scoring.batcher import Batcher, BatcherClosedError
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.serving.body_readers import BodyReaders
from codeprm_jax.scoring.serving.reading import RequestReader

logger = logging.getLogger(__name__)

MAX_REQUESTS = 512  # in progress, their bodies read; twice that if many addresses share them
MAX_BODY_MEMORY = 134_217_728  # bytes of all bodies in progress

Phase = Literal["loading", "ready", "draining", "failed"]


@dataclass(frozen=True)
class ServerConfig:
    """What a server may be told.

    Attributes:
      name: of the model, in vLLM's form.
      aggregate: the reward, in OpenRLHF's form.
      token: that requests must bear; None for a server that is open.
      warm_up: compile every program before the first request.
      max_batch_tokens, max_queue_tokens, max_wait_seconds: of the batcher.
      max_body_bytes: of a request.
      body_seconds: in which a body must have come.
      request_seconds: in which it must be answered.
      drain_seconds: for what is queued when the server is stopped.
    """

    name: str = "codeprm"
    aggregate: Aggregate = "min"
    token: str | None = None
    warm_up: bool = True
    max_batch_tokens: int = 8192
    max_queue_tokens: int = 262_144
    max_wait_seconds: float = 0.005
    max_body_bytes: int = 8_388_608
    body_seconds: float = 20.0
    request_seconds: float = 120.0
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("max_batch_tokens", "max_queue_tokens", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("max_wait_seconds", "body_seconds", "request_seconds", "drain_seconds"):
            if not 0 <= getattr(self, name) <= 86_400:
                raise InputError(f"{name} must lie in [0, 86400], not {getattr(self, name)}")


class Service:
    """Loads a scorer in a thread of its own and puts a batcher before it.

    Args:
      load: makes the scorer.
      on_batch: see `Batcher`.
      on_failure: called once if the scorer cannot be loaded; `error` says why.
      on_ready: called once when it is, before the first request.
    """

    def __init__(
        self,
        load: Callable[[], StepScorer],
        config: ServerConfig,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self.config = config
        self.phase: Phase = "loading"
        self.error: BaseException | None = None
        self.created = int(time.time())
        self.on_failure: Callable[[], None] = lambda: None
        self.on_ready: Callable[[], None] = lambda: None
        self._load, self._on_batch = load, on_batch
        self._scorer: StepScorer | None = None
        self._batcher: Batcher | None = None
        self._readers: BodyReaders | None = None
        self._loading: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "loading")
        self.stuck = False

    @property
    def scorer(self) -> StepScorer:
        """The scorer, once there is one. Raises BatcherClosedError before."""
        if self._scorer is None:
            raise BatcherClosedError("the model is not loaded yet")
        return self._scorer

    @property
    def batcher(self) -> Batcher:
        """The batcher, once there is one. Raises BatcherClosedError before."""
        if self._batcher is None:
            raise BatcherClosedError("the model is not loaded yet")
        return self._batcher

    @property
    def readers(self) -> BodyReaders:
        """What reads bodies, once the model is there. Raises BatcherClosedError before."""
        if self._readers is None:
            raise BatcherClosedError("the model is not loaded yet")
        return self._readers

    @property
    def healthy(self) -> bool:
        """Whether it scores, or may yet."""
        batches = self._batcher is None or self._batcher.alive or self.phase == "draining"
        return self.phase != "failed" and batches

    def start(self) -> None:
        """Begins to load."""
        self._loading = asyncio.create_task(self._start(), name="load")

    async def wait_until_loaded(self) -> None:
        """Returns when it is ready, or has failed."""
        if self._loading is not None:
            await asyncio.wait([self._loading])

    async def close(self, drain_seconds: float | None = None) -> None:
        """Answers what is queued, within `drain_seconds` (the config's), and ends.

        Sets `stuck` if a thread is left running.
        """
        if self.phase == "draining":
            return
        if self.phase != "failed":
            self.phase = "draining"
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
            self.stuck = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._batcher is not None:
            seconds = self.config.drain_seconds if drain_seconds is None else drain_seconds
            end = asyncio.get_running_loop().time() + seconds
            await self.readers.drain(seconds)  # into the batcher
            if not await self._batcher.close(max(0.0, end - asyncio.get_running_loop().time())):
                logger.warning("stopped before all requests were answered")
                self.stuck = True
        if self._readers is not None:
            self._readers.close()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            self._scorer = await loop.run_in_executor(self._thread, self._make)
            config = self.config
            batcher = Batcher(
                self._scorer,
                config.max_batch_tokens,
                config.max_wait_seconds,
                config.max_queue_tokens,
                self._on_batch,
            )
            self._batcher = await batcher.__aenter__()
        except Exception as error:  # noqa: BLE001 - raised again by whoever runs the server
            self.phase, self.error = "failed", error
            self.on_failure()
            return
        self.on_ready()
        self.phase = "ready"
        logger.info("ready after %.1f s: %s", loop.time() - began, self._scorer.fingerprint)

    def _make(self) -> StepScorer:
        scorer = self._load()
        names = (self.config.name, scorer.fingerprint)
        readers = BodyReaders(RequestReader(scorer.layout, scorer.view, names))
        if self.config.warm_up:
            readers.start()
            programs = scorer.warm_up()
            logger.info("%d programs compiled", programs)
        self._readers = readers
        return scorer
