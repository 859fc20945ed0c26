"""Attention over a tree of tokens, in plain JAX: many traces that share prefixes, as one row.

The tokens of a tree stand in depth-first order. Then the tokens that see a token are one interval:
those from itself to the end of what hangs below it. So the whole mask is two integers a key,
[first, until), whatever the shape of the tree; packed rows are the special case of a tree without
branches. Keys that were computed earlier stand before the row's own and have such intervals too.

As in `attention_blockwise`, the softmax is accumulated over tiles of keys (Dao et al. 2022). The
tiles that a block of queries sees do not stand together (the root, then its own branch), so each
block has a list of them, and those that it does not see are not computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import get_abstract_mesh

from codeprm_jax.model.attention import platform
from codeprm_jax.model.attention_shards import on_every_shard

# Queries and keys of a tile. On a CPU small ones: branches are short, and what a tile holds beside
# them is computed for nothing (half the time of 512 x 256). Elsewhere an iteration has its price.
_CPU_TILE, _TILE = (128, 64), (512, 512)
_CHAINS = 4  # key heads whose tiles are computed side by side
_MASKED = -1e30  # finite: a row of a tile may see nothing, and its next tile must not be NaN


class Visible(NamedTuple):
    """Which queries see which keys.

    Attributes:
      at: int32[batch, queries], ascending: where each query stands in the row.
      first, until: int32[batch, keys]: key j is seen by queries that stand in [first, until).
      query_positions, key_positions: int32[batch, queries], int32[batch, keys]: tokens since the
        start of the trace; read only with a sliding window.
    """

    at: jax.Array
    first: jax.Array
    until: jax.Array
    query_positions: jax.Array
    key_positions: jax.Array


def attend_tree(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    visible: Visible,
    sliding_window: int | None = None,
) -> jax.Array:
    """Softmax attention of each query over the keys that it sees; at least one each.

    Under the mesh of `jax.set_mesh` each device computes its own rows and heads.

    Args:
      query: [batch, queries, heads, head_dim], any float dtype.
      key, value: [batch, keys, kv_heads, head_dim]; consecutive heads share a key head.
      sliding_window: if set, a key is seen from fewer than this many tokens away.

    Returns:
      [batch, queries, heads, head_dim] in the query's dtype; the softmax is float32.
    """

    def kernel(q: jax.Array, k: jax.Array, v: jax.Array, *seen: jax.Array) -> jax.Array:
        rows = [
            _one_row(q[b], k[b], v[b], Visible(*(s[b] for s in seen)), sliding_window)
            for b in range(q.shape[0])
        ]
        return jnp.stack(rows)

    return on_every_shard(kernel, query, key, value, *visible)


def _one_row(
    query: jax.Array, key: jax.Array, value: jax.Array, visible: Visible, window: int | None
) -> jax.Array:
    count, heads, head_dim = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    tile = _CPU_TILE if platform(get_abstract_mesh()) == "cpu" else _TILE
    block, keys = (
        min(size, -(-n // 8) * 8) for size, n in zip(tile, (count, key.shape[0]), strict=True)
    )
    blocks, tiles = -(-count // block), -(-key.shape[0] // keys)
    chains = max(c for c in range(1, _CHAINS + 1) if kv_heads % c == 0)

    at = _pad(visible.at, blocks * block, -1).reshape(blocks, block)
    at = jnp.where(at < 0, visible.at[-1], at)  # padding repeats the last query
    first = _pad(visible.first, tiles * keys, 0).reshape(tiles, keys)
    until = _pad(visible.until, tiles * keys, 0).reshape(tiles, keys)
    order, seen = _tiles_seen(at, first, until)
    query = _pad(query * head_dim**-0.5, blocks * block).astype(key.dtype)
    query = query.reshape(blocks, block, kv_heads, group, head_dim)
    key = _pad(key, tiles * keys).reshape(tiles, keys, kv_heads, head_dim)
    value = _pad(value, tiles * keys).reshape(tiles, keys, kv_heads, head_dim)
    if window is not None:
        query_positions = _pad(visible.query_positions, blocks * block).reshape(blocks, block)
        key_positions = _pad(visible.key_positions, tiles * keys).reshape(tiles, keys)

    def one_block(i: Any, chain: list[Any]) -> list[jax.Array]:
        rows = [query[i, :, h].reshape(block * group, head_dim) for h in chain]

        def fold(n: Any, carries: list[Any]) -> list[Any]:
            j = order[i, n]
            mask = (first[j] <= at[i][:, None]) & (at[i][:, None] < until[j])
            if window is not None:
                mask &= query_positions[i][:, None] - key_positions[j] < window
            mask = jnp.repeat(mask, group, axis=0)
            return [
                _fold(carry, q, key[j, :, h], value[j, :, h], mask)
                for carry, q, h in zip(carries, rows, chain, strict=True)
            ]

        start = (
            jnp.zeros((block * group, head_dim), jnp.float32),
            jnp.full(block * group, _MASKED, jnp.float32),
            jnp.zeros(block * group, jnp.float32),
        )
        done = lax.fori_loop(0, seen[i], fold, [start] * len(chain))
        return [mixed / total[:, None] for mixed, _, total in done]

    def step(n: Any, out: jax.Array) -> jax.Array:
        i, c = n // (kv_heads // chains), n % (kv_heads // chains)
        chain = [c * chains + x for x in range(chains)]
        for h, mixed in zip(chain, one_block(i, chain), strict=True):
            part = mixed.astype(out.dtype).reshape(1, block, 1, group, head_dim)
            out = lax.dynamic_update_slice(out, part, (i, 0, h, 0, 0))
        return out

    out = jnp.zeros(query.shape, value.dtype)
    out = lax.fori_loop(0, blocks * (kv_heads // chains), step, out)
    return out.reshape(blocks * block, heads, head_dim)[:count]


def _tiles_seen(at: jax.Array, first: jax.Array, until: jax.Array) -> tuple[jax.Array, jax.Array]:
    """For each block of queries its tiles of keys, those it sees first, and how many it sees."""
    low, high = at[:, :1, None], at[:, -1:, None]  # [blocks, 1, 1]
    needed = ((first[None] <= high) & (until[None] > low)).any(-1)
    return jnp.argsort(~needed, axis=1, stable=True), needed.sum(1)


def _fold(
    carry: Any, queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Online softmax: (weighted values, greatest score, sum of the weights) of each row."""
    mixed, old, total = carry
    scores = lax.dot_general(
        queries, keys, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
    )
    scores = jnp.where(mask, scores, _MASKED)
    peak = jnp.maximum(scores.max(-1), old)
    weights, shrink = jnp.exp(scores - peak[:, None]), jnp.exp(old - peak)
    part = lax.dot_general(
        weights.astype(values.dtype),
        values,
        (((1,), (0,)), ((), ())),
        preferred_element_type=jnp.float32,
    )
    return mixed * shrink[:, None] + part, peak, total * shrink + weights.sum(-1)


def _pad(x: jax.Array, length: int, fill: int = 0) -> jax.Array:
    """Pads axis 0 to `length`."""
    widths = [(0, length - x.shape[0] if axis == 0 else 0) for axis in range(x.ndim)]
    return jnp.pad(x, widths, constant_values=fill)
