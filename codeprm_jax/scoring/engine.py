"""The step scorer: all steps of a trace in one forward, traces batched by length."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codeprm_jax.data.layout import Example, StepInput, View
from codeprm_jax.data.packing import pack_row
from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.model.attention import check_config
from codeprm_jax.model.config import Implementation
from codeprm_jax.sharding import batch_divisor, make_mesh
from codeprm_jax.training.model_directory import LoadedModel, load_model
from codeprm_jax.training.step import put_batch
from codeprm_jax.training.validation import make_forward

MIN_BUCKET = 128


@dataclass(frozen=True)
class StepScores:
    """Scores float32[steps] in [0, 1] of one trace, and the tokens that were read for them."""

    scores: np.ndarray
    tokens: int


class Scorer(Protocol):
    """Whatever scores the steps of traces."""

    def score(self, inputs: Sequence[StepInput]) -> list[StepScores]:
        """One StepScores for each input, in order."""


class StepScorer:
    """Scores traces with a trained PRM.

    A trace is padded to the shortest of a few lengths that holds it and scored in batches of a few
    sizes, so that the number of compiled programs is small and bounded. The bucket of a trace
    depends on its own length only: it gets the same scores alone and in any batch.

    Args:
      path: run or model directory, see `training.model_directory.chosen_checkpoint`.
      mesh: devices; default all, as replicas.
      tokens_per_batch: padded tokens in a full batch.
      attention: implementation, see `model.attention`; rows hold one example each.
      view: what the model reads of a trace; default the fullest that it was trained to read.

    Raises:
      InputError: `path` holds no model, or one that was not trained to read this view, or the
        attention does not do what it needs here.
    """

    def __init__(
        self,
        path: Path | str,
        mesh: Mesh | None = None,
        tokens_per_batch: int = 8192,
        attention: Implementation = "auto",
        view: View | None = None,
    ) -> None:
        self.mesh = mesh or make_mesh()
        model = load_model(path, self.mesh)
        self.layout, self.target = model.directory.layout, model.directory.target
        self.step = model.step
        self._params = model.params
        self.view = view or self.layout.config.fullest
        self.layout.lay_out([], self.view)  # refuses a view that it was not trained to read
        digest = fingerprint(model)
        if self.view != self.layout.config.fullest:
            digest += f", view {self.view}"
        self.fingerprint = digest if self.step is None else f"step {self.step}, {digest}"
        config = replace(model.config, attention=attention)
        check_config(config, self.mesh, packed=False)
        self._forward = make_forward(config, packed=False)
        self._tokens_per_batch = tokens_per_batch
        self.buckets = tuple(length_buckets(self.layout.config.max_tokens))
        self.compiled: set[tuple[int, int]] = set()

    def score(self, inputs: Sequence[StepInput], view: View | None = None) -> list[StepScores]:
        """One StepScores for each input, in order.

        Args:
          view: what the model reads of them; default the scorer's.

        Raises:
          InputError: a view that it was not trained to read.
          ExampleTooLongError: a trace that cannot be laid out within the model's limit.
        """
        examples = self.layout.lay_out(inputs, view or self.view)
        by_bucket: dict[int, list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            by_bucket[next(b for b in self.buckets if b >= example.length)].append(index)
        results: list[StepScores | None] = [None] * len(examples)
        for bucket, members in sorted(by_bucket.items()):
            for chunk in self._chunks(bucket, members):
                scores = self._score_batch(bucket, [examples[i] for i in chunk])
                for index, values in zip(chunk, scores, strict=True):
                    results[index] = StepScores(values, examples[index].length)
        return [r for r in results if r is not None]

    def _chunks(self, bucket: int, members: list[int]) -> Iterator[list[int]]:
        rows = max(1, self._tokens_per_batch // bucket)
        for start in range(0, len(members), rows):
            yield members[start : start + rows]

    def _score_batch(self, bucket: int, examples: Sequence[Example]) -> list[np.ndarray]:
        rows = self._batch_rows(bucket, len(examples))
        padded = [pack_row([e], bucket) for e in examples]
        padded += [pack_row([], bucket)] * (rows - len(examples))
        batch = {
            k: np.stack([p[k] for p in padded]) for k in ("tokens", "segment_ids", "positions")
        }
        self.compiled.add((rows, bucket))
        with jax.set_mesh(self.mesh):
            scores = np.asarray(self._forward(self._params, **put_batch(self.mesh, batch)))
        if not np.isfinite(scores).all():
            raise InputError("the model's scores are not finite: its training has diverged")
        return [row[e.tag_positions] for row, e in zip(scores, examples, strict=False)]

    def _batch_rows(self, bucket: int, count: int) -> int:
        """Powers of four up to the full batch, in multiples of the mesh's batch axis."""
        rows, full = 1, max(1, self._tokens_per_batch // bucket)
        while rows < count:
            rows *= 4
        divisor = batch_divisor(self.mesh)
        return -(-min(rows, full) // divisor) * divisor


def fingerprint(model: LoadedModel) -> str:
    """Tells a model from others: by its layout, its head, and the corners of its other parameters.

    Any training changes some of them. Independent of the mesh.
    """

    leaves = jax.tree.leaves

    @jax.jit
    def ends(params: decoder.Params) -> list[jax.Array]:
        first, last = ([leaf[(at,) * (leaf.ndim - 1)] for leaf in leaves(params)] for at in (0, -1))
        corners = [jnp.concatenate([f[:16], x[-16:]]) for f, x in zip(first, last, strict=True)]
        return [*(leaf.ravel() for leaf in leaves(params["score"])), *corners]

    directory = model.directory
    said = [directory.layout.config.to_json(), directory.target, directory.tokens]
    digest = hashlib.blake2b(json.dumps(said).encode(), digest_size=8)
    with jax.set_mesh(leaves(model.params)[0].sharding.mesh):
        for values in ends(model.params):
            digest.update(np.asarray(values, np.float32).tobytes())
    return digest.hexdigest()


def length_buckets(max_tokens: int) -> Iterator[int]:
    """128, 192, 256, 384, 512, 768, … up to `max_tokens`, which is always the last."""
    power = MIN_BUCKET
    while power < max_tokens:
        yield power
        if power + power // 2 < max_tokens:
            yield power + power // 2
        power *= 2
    yield max_tokens
