"""How fast a run is: step time, tokens and FLOPs a second, MFU; and a profile of some steps."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from codeprm_jax.accelerators import accelerator_of
from codeprm_jax.model.config import ModelConfig

logger = logging.getLogger(__name__)


class Throughput:
    """Times steps.

    Model FLOPs are those of useful tokens only, each example counted as a causal sequence of its
    own length by `ModelConfig.flops_per_token`: padding, masked tiles and what is computed again in
    the backward pass count nothing. MFU (Chowdhery et al. 2022, PaLM, appendix B) divides them by
    the time and by the peak of all devices in bfloat16, dense, as the vendor states it, whatever
    the dtype of the run.
    """

    def __init__(self, model: ModelConfig, mesh: Mesh) -> None:
        self._model, self._devices = model, mesh.size
        chip = accelerator_of(mesh.devices.flat[0])
        self._peak = chip.peak_flops_per_device * mesh.size if chip else None
        self._began = time.perf_counter()
        self._rates: list[float] = []

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Logs how long it takes to do what is done inside: to compile the step."""
        began = time.perf_counter()
        yield
        logger.info("train step compiled in %.1f s", time.perf_counter() - began)

    def resume(self) -> None:
        """Begins to time anew: what was done since the last step was no step."""
        self._began = time.perf_counter()

    def step(self, lengths: Sequence[int], scored: float) -> dict[str, float]:
        """Figures of the step that has just ended.

        Args:
          lengths: tokens of each example of the global batch.
          scored: its scored steps.

        Returns:
          seconds; tokens (useful ones, of the global batch); tokens_per_second and
          scored_steps_per_second, over all devices; model_tflops_per_second_per_device; and mfu, in
          [0, 1], where the device's peak is known.
        """
        now = time.perf_counter()
        seconds, self._began = now - self._began, now
        tokens = sum(lengths)
        flops = sum(n * self._model.flops_per_token(n) for n in lengths) / seconds
        self._rates.append(tokens / seconds)
        figures = {
            "seconds": seconds,
            "tokens": float(tokens),
            "tokens_per_second": tokens / seconds,
            "scored_steps_per_second": scored / seconds,
            "model_tflops_per_second_per_device": flops / self._devices / 1e12,
        }
        return figures | ({"mfu": flops / self._peak} if self._peak else {})

    @property
    def median_tokens_per_second(self) -> float:
        """Over all steps timed; NaN before the first."""
        return float(np.median(self._rates)) if self._rates else float("nan")


class Profile:
    """A profile of the steps from `steps[0]` to `steps[1]`, in `folder`; none without steps."""

    def __init__(self, folder: Path, steps: tuple[int, int] | None) -> None:
        self._folder, self._steps = folder, steps
        self._running = self._written = False

    def __enter__(self) -> Profile:
        return self

    def before(self, step: int, state: Any) -> None:
        """To be called before each step, with the state that it starts from."""
        if self._steps is None:
            return
        first, last = self._steps
        if self._running and step > last:
            self._stop(state)
        elif not self._running and first <= step <= last:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self._folder))
            self._running = True

    def __exit__(self, *_: object) -> None:
        if self._running:
            self._stop(None)
        elif self._steps is not None and not self._written:
            logger.warning("no profile: this start did none of the steps %s", self._steps)

    def _stop(self, state: Any) -> None:
        jax.block_until_ready(state)
        jax.profiler.stop_trace()
        self._running, self._written = False, True
        logger.info("profile of steps %s written to %s", self._steps, self._folder)
