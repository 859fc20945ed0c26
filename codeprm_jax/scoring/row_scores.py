"""Scores without reuse: each trace is computed whole, packed with others or alone in a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from codeprm_jax.data.layout import Example
from codeprm_jax.data.packing import pack_row, plan_packing, unpack_row
from codeprm_jax.model import decoder
from codeprm_jax.model.attention import check_config
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.scoring.statistics import ScoringStatistics
from codeprm_jax.sharding import batch_divisor
from codeprm_jax.training.step import put_batch
from codeprm_jax.training.validation import make_forward

MIN_BUCKET = 128


class RowScores:
    """Batches of rows of a few lengths.

    Packed, a call's traces fill rows of the model's limit, or of the shortest bucket that holds
    them all. Unpacked, a trace has a row of its own, of a length that depends on nothing but its
    own: it gets the same bits alone and in any batch.

    Args:
      limit: tokens of the longest example.
      tokens_per_batch: padded tokens in a full batch.
      packed: several examples a row.

    Raises:
      InputError: the attention cannot do that here.
    """

    def __init__(
        self,
        config: ModelConfig,
        params: decoder.Params,
        mesh: Mesh,
        limit: int,
        tokens_per_batch: int,
        packed: bool,
        statistics: ScoringStatistics,
    ) -> None:
        check_config(config, mesh, packed=packed)
        self._params, self._mesh, self._packed = params, mesh, packed
        self._forward = make_forward(config, packed=packed)
        self._tokens_per_batch, self._statistics = tokens_per_batch, statistics
        self.buckets = tuple(length_buckets(limit))
        self.compiled: set[tuple[int, int]] = set()

    def __call__(self, examples: Sequence[Example]) -> list[np.ndarray]:
        """float32[steps] for each example."""
        results: list[np.ndarray] = [np.zeros(0, np.float32)] * len(examples)
        self._statistics.computed_tokens += sum(e.length for e in examples)
        for bucket, rows in self._rows(examples):
            full = max(1, self._tokens_per_batch // bucket)
            for begin in range(0, len(rows), full):
                part = rows[begin : begin + full]
                scores = self._run(bucket, [[examples[i] for i in row] for row in part])
                self._statistics.batches += 1
                self._statistics.padded_tokens += scores.size
                for row, values in zip(part, scores, strict=False):
                    steps = unpack_row(values, [examples[i] for i in row])
                    for index, found in zip(row, steps, strict=True):
                        results[index] = found
        return results

    def warm_up(self) -> None:
        """Compiles every program."""
        for bucket in self.buckets:
            full, rows = max(1, self._tokens_per_batch // bucket), 1
            while rows < full:
                self._run(bucket, [[]] * rows)
                rows *= 4
            self._run(bucket, [[]] * full)

    def forget(self) -> None:
        """Nothing is remembered."""

    def _rows(self, examples: Sequence[Example]) -> Iterator[tuple[int, list[list[int]]]]:
        """For each bucket its rows of indices of examples."""
        lengths = [e.length for e in examples]
        if self._packed and examples:
            bucket = self._bucket(min(self.buckets[-1], sum(lengths)))
            yield bucket, [list(row) for row in plan_packing(lengths, bucket).rows]
            return
        by_bucket: dict[int, list[list[int]]] = defaultdict(list)
        for index, length in enumerate(lengths):
            by_bucket[self._bucket(length)].append([index])
        yield from sorted(by_bucket.items())

    def _bucket(self, length: int) -> int:
        return next(b for b in self.buckets if b >= length)

    def _run(self, bucket: int, members: Sequence[Sequence[Example]]) -> np.ndarray:
        rows = self._batch_rows(bucket, len(members))
        packed = [pack_row(row, bucket) for row in members]
        packed += [pack_row([], bucket)] * (rows - len(members))
        batch = {
            k: np.stack([p[k] for p in packed]) for k in ("tokens", "segment_ids", "positions")
        }
        self.compiled.add((rows, bucket))
        with jax.set_mesh(self._mesh):
            return np.asarray(self._forward(self._params, **put_batch(self._mesh, batch)))

    def _batch_rows(self, bucket: int, count: int) -> int:
        """Powers of four up to the full batch, in multiples of the mesh's batch axis."""
        rows, full = 1, max(1, self._tokens_per_batch // bucket)
        while rows < count:
            rows *= 4
        divisor = batch_divisor(self._mesh)
        return -(-min(rows, full) // divisor) * divisor


def length_buckets(max_tokens: int) -> Iterator[int]:
    """128, 192, 256, 384, 512, 768, … up to `max_tokens`, which is always the last."""
    power = MIN_BUCKET
    while power < max_tokens:
        yield power
        if power + power // 2 < max_tokens:
            yield power + power // 2
        power *= 2
    yield max_tokens
