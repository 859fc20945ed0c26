"""The device's side of reuse: rows of tokens behind cached keys and values, compiled by shape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.scoring.prefix_tree import Row
from codeprm_jax.scoring.statistics import ScoringStatistics
from codeprm_jax.sharding import batch_divisor, constrain, named_sharding
from codeprm_jax.training.step import put_batch

MIN_ROW = 128
TOKENS_PER_TAG = 8  # a pass scores one tag for as many tokens of its row's length
_CACHE_AXES = ("batch", None, "layers", None, "activation_heads", None)
FINE_PARAMETERS = 4_000_000
_NONE = np.zeros(0, np.int32)


class TreeForward:
    """Scores rows, one a shard of the batch, and keeps the keys and values of their tokens.

    The cache is one array for keys and values of all layers, [shards, slots, layers, 2, kv_heads,
    head_dim] in the compute dtype, updated in place. Rows and contexts are padded to a few lengths,
    so that few programs are compiled.

    Args:
      most_tokens, most_context: of a row; see `PrefixTree.plan`.
      slots: tokens that each shard's cache holds.
    """

    def __init__(
        self,
        config: ModelConfig,
        params: decoder.Params,
        mesh: Mesh,
        most_tokens: int,
        most_context: int,
        slots: int,
        statistics: ScoringStatistics,
    ) -> None:
        self._statistics = statistics
        self._params, self._mesh = params, mesh
        self.shards = batch_divisor(mesh)
        self.slots = slots
        padding = _padding(config, mesh)
        self.row_lengths = row_lengths(most_tokens, padding)
        self.context_lengths = context_lengths(most_context, padding)
        self.compiled: set[tuple[int, int]] = set()
        self._forward = partial(_forward, config)
        shape = cache_shape(config, self.shards, slots)
        sharding = named_sharding(mesh, _CACHE_AXES, shape)
        empty = partial(jnp.zeros, shape, jnp.dtype(config.dtype))
        self._empty = jax.jit(empty, out_shardings=sharding)
        self.reset()

    def reset(self) -> None:
        """Empties the cache."""
        self._cache = self._empty()

    def __call__(self, rows: Sequence[Row | None]) -> list[np.ndarray]:
        """For each shard's row the scores of its tags, float32[tags]."""
        tags = [_NONE if row is None else row.tags for row in rows]
        present = [row for row in rows if row is not None]
        length = _at_least(self.row_lengths, max(len(r.tokens) for r in present))
        context = _at_least(self.context_lengths, max(len(r.context) for r in present))
        # A row of very short steps has more tags than a pass scores: it takes several.
        room, most = length // TOKENS_PER_TAG, max(map(len, tags))
        parts = [
            self._run(length, context, rows, [t[begin : begin + room] for t in tags])
            for begin in range(0, most, room)
        ]
        self._statistics.batches += len(parts)
        self._statistics.padded_tokens += len(parts) * length * self.shards
        scores = np.concatenate(parts, axis=1)
        return [row[: len(t)] for row, t in zip(scores, tags, strict=True)]

    def warm_up(self) -> None:
        """Compiles every program."""
        for length in self.row_lengths:
            for context in self.context_lengths:
                self._run(length, context, [None] * self.shards, [_NONE] * self.shards)

    def _run(
        self, length: int, context: int, rows: Sequence[Row | None], tags: Sequence[np.ndarray]
    ) -> np.ndarray:
        batch = {
            name: np.zeros((self.shards, length), np.int32) for name in ("tokens", "positions")
        }
        # Padding sees itself alone and is written nowhere.
        batch["until"] = np.tile(np.arange(1, length + 1, dtype=np.int32), (self.shards, 1))
        batch["write"] = np.full((self.shards, length), self.slots, np.int32)
        batch["tags"] = np.full((self.shards, length // TOKENS_PER_TAG), length - 1, np.int32)
        seen = ("context", "context_first", "context_until", "context_positions")
        batch |= {name: np.zeros((self.shards, context), np.int32) for name in seen}
        for number, row in enumerate(rows):
            if row is None:
                continue
            batch["tags"][number, : len(tags[number])] = tags[number]
            for name in ("tokens", "positions", "until"):
                batch[name][number, : len(row.tokens)] = getattr(row, name)
            kept = np.where(row.write < 0, self.slots, row.write)
            batch["write"][number, : len(kept)] = kept
            for name in seen:
                batch[name][number, : len(row.context)] = getattr(row, name)
        self.compiled.add((length, context))
        with jax.set_mesh(self._mesh):
            placed = put_batch(self._mesh, batch)
            scores, self._cache = self._forward(self._params, self._cache, **placed)
            return np.asarray(scores)


def cache_shape(config: ModelConfig, shards: int, slots: int) -> tuple[int, ...]:
    """The shape of the cache."""
    heads = config.num_kv_heads, config.head_dim
    return (shards, slots, config.num_layers, 2, *heads)


def slots_within(config: ModelConfig, mesh: Mesh, cache_bytes: int, most: int) -> int:
    """How many tokens a cache of this many bytes on each device holds, `most` at most."""
    shape = cache_shape(config, batch_divisor(mesh), 1)
    sharding = named_sharding(mesh, _CACHE_AXES, shape)
    token = int(np.prod(sharding.shard_shape(shape))) * jnp.dtype(config.dtype).itemsize
    return max(1, min(cache_bytes // token, most))


# Compiled once a process for all scorers of models of this shape.
@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _forward(
    config: ModelConfig,
    params: decoder.Params,
    cache: jax.Array,
    tokens: jax.Array,
    positions: jax.Array,
    until: jax.Array,
    tags: jax.Array,
    write: jax.Array,
    context: jax.Array,
    context_first: jax.Array,
    context_until: jax.Array,
    context_positions: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    cached = jax.vmap(lambda slots, index: slots[index])(cache, context)
    keys, values = (jnp.moveaxis(cached[:, :, :, i], 2, 0) for i in (0, 1))
    prefix = decoder.Prefix(keys, values, context_first, context_until, context_positions)
    logits, keys, values = decoder.apply_tree(
        config, params, tokens, until, positions, tags, prefix
    )
    new = jnp.moveaxis(jnp.stack([keys, values], axis=3), 0, 2)
    cache = jax.vmap(lambda slots, index, x: slots.at[index].set(x, mode="drop"))(cache, write, new)
    return constrain(jax.nn.sigmoid(logits), None, None), constrain(cache, *_CACHE_AXES)


Padding = Literal["fine", "doubling", "coarse"]


def row_lengths(most: int, padding: Padding) -> list[int]:
    """128, 256, 512, … up to the first that is at least `most`.

    Fine, 32, 48, 64, 96, 128, …; coarse, 128, 1024, … with the same last.
    """
    lengths = [32 if padding == "fine" else MIN_ROW]
    while lengths[-1] < most:
        lengths.append(2 * lengths[-1])
    if padding == "fine":
        between = [n + n // 2 for n in lengths[:-1]]
        return sorted(lengths + [n for n in between if n < most])
    if padding == "coarse":
        return [*lengths[:-1:3], lengths[-1]]
    return lengths


def context_lengths(most: int, padding: Padding) -> list[int]:
    """0, 512, 4096, … up to `most`, which is always the last; coarse, 0 and `most`."""
    lengths = [0]
    while lengths[-1] < most and padding != "coarse":
        lengths.append(8 * lengths[-1] or 512)
    return [n for n in lengths if n < most] + [most]


def _padding(config: ModelConfig, mesh: Mesh) -> Padding:
    """How close the lengths are for which programs are compiled.

    On a CPU time goes with the tokens, from the first on: padding costs a large model more than
    compiling twice as many programs, and a small one less than compiling any.
    """
    if mesh.devices.flat[0].platform != "cpu":
        return "doubling"
    multiplied = config.num_params() - config.vocab_size * config.hidden_size
    return "fine" if multiplied > FINE_PARAMETERS else "coarse"


def _at_least(sizes: Sequence[int], wanted: int) -> int:
    return next(s for s in sizes if s >= wanted)
