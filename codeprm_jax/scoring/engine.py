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

from codeprm_jax.data.layout import Example, ExampleTooLongError, StepInput, View
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


@dataclass
class ScoringStatistics:
    """What a scorer has done since it was made.

    Attributes:
      traces, tokens: scored, as they were asked for.
      computed_tokens: that went through the model, without padding.
      batches: forward passes.
      compiled: programs compiled.
    """

    traces: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    batches: int = 0
    compiled: int = 0


class Scorer(Protocol):
    """Whatever scores the steps of traces, in this process or behind a server.

    Attributes:
      fingerprint: tells the model, and the view that it reads, from others.
      view: what it reads of a trace unless a call says otherwise.
    """

    fingerprint: str
    view: View

    def score(self, inputs: Sequence[StepInput], view: View | None = None) -> list[StepScores]:
        """One StepScores for each input, in order.

        Raises:
          InputError: a view that the model was not trained to read.
          ExampleTooLongError: a trace that cannot be laid out within the model's limit.
        """

    def score_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[StepScores | InputError]:
        """As `score`, but an input that cannot be scored gives its error and spares the others."""


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
        self.statistics = ScoringStatistics()

    def score(self, inputs: Sequence[StepInput], view: View | None = None) -> list[StepScores]:
        """One StepScores for each input, in order; see `Scorer`."""
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
        laid_out = self.lay_out_each(inputs, view)
        scored = iter(self.score_examples([e for e in laid_out if isinstance(e, Example)]))
        return [next(scored) if isinstance(e, Example) else e for e in laid_out]

    def lay_out_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[Example | ExampleTooLongError]:
        """What `score_examples` reads of each input. Raises InputError on an untrained view."""
        found = self.layout.lay_out_each(inputs, (view or self.view,))
        return [f if isinstance(f, ExampleTooLongError) else f[0] for f in found]

    def score_examples(self, examples: Sequence[Example]) -> list[StepScores | InputError]:
        """`score_each` of inputs that are laid out already."""
        by_bucket: dict[int, list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            by_bucket[next(b for b in self.buckets if b >= example.length)].append(index)
        results: list[StepScores | InputError | None] = [None] * len(examples)
        for bucket, members in sorted(by_bucket.items()):
            for chunk in self._chunks(bucket, members):
                scores = self._score_batch(bucket, [examples[i] for i in chunk])
                for index, values in zip(chunk, scores, strict=True):
                    results[index] = StepScores(values, examples[index].length)
        self.statistics.traces += len(examples)
        self.statistics.tokens += sum(e.length for e in examples)
        return [r for r in results if r is not None]

    def warm_up(self) -> int:
        """Compiles every shape that a call can need; returns how many there are."""
        for bucket in self.buckets:
            rows = 1
            while rows < 4 * max(1, self._tokens_per_batch // bucket):
                self._score_batch(bucket, [Example(np.zeros(1, np.int32), np.zeros(0, int))] * rows)
                rows *= 4
        return len(self.compiled)

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
