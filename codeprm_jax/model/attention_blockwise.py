"""Attention in plain JAX, tile by tile: no [T, T] array exists, forward or backward.

The scheme is flash attention's (Dao et al. 2022, 2023): the softmax of a block of queries is
accumulated over tiles of keys, the logarithm of its sum is kept, and the backward pass computes
the weights again from it. What a token may see is one interval, [first[t], t]: its segment's start
or, with a sliding window, whatever is later. `first` never falls, so a block of queries needs the
tiles from first[its start] to its own, and only those at either end need a mask: tiles of other
examples of a packed row, of the future, and beyond the window are not computed at all.

Shapes are chosen for XLA's CPU backend; docs/attention.md has the measurements. The queries of one
key head stand together as rows of one matrix; several key heads ("chains") go through one loop
body side by side, because XLA runs independent operations on different cores and gains little
from splitting one of this size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

# A tile has at most this many rows (queries x group) where blocks of 128 queries allow it.
_ROWS = 768
_KEYS = 512
# Rows of at most this many tokens are mostly packed with shorter examples: small square tiles, of
# which many are skipped, take half the time of large ones, which cover the row.
_SHORT, _SHORT_TILE = 512, 128
# Bytes of the tiles of all chains of a loop body: what two cores' second-level caches hold.
_TILE_BYTES = 4 << 20


class _Plan(NamedTuple):
    """How one call is cut up; all sizes are static."""

    block: int  # queries of a block
    blocks: int  # blocks of queries
    ratio: int  # blocks of queries that are as long as one tile of keys
    chains: int  # key heads of a loop body
    group: int  # query heads of a key head

    @property
    def keys(self) -> int:
        return self.block * self.ratio

    @property
    def rows(self) -> int:
        return self.block * self.group

    @property
    def length(self) -> int:
        """Queries with padding."""
        return self.block * self.blocks

    @property
    def key_length(self) -> int:
        """Keys with padding: whole tiles."""
        return -(-self.blocks // self.ratio) * self.keys


def _plan(batch: int, length: int, heads: int, kv_heads: int) -> _Plan:
    group = heads // kv_heads
    largest = 256 if 256 * group <= _ROWS else 128
    keys = _KEYS
    if length <= _SHORT and largest > _SHORT_TILE:
        largest = keys = _SHORT_TILE
    blocks = -(-length // largest)
    block = -(-length // blocks)
    block += -block % 8  # whole vectors; at most 7 queries of padding a block
    blocks = -(-length // block)
    ratio = max(1, min(keys // block, blocks))
    chains = 1
    while (
        chains < 4
        and batch * kv_heads % (2 * chains) == 0
        and 2 * chains * block * group * block * ratio * 4 <= _TILE_BYTES
    ):
        chains *= 2
    return _Plan(block, blocks, ratio, chains, group)


def first_visible(segment_ids: jax.Array, sliding_window: int | None = None) -> jax.Array:
    """int32[batch, length]: the earliest position that each token sees."""
    index = jnp.arange(segment_ids.shape[1], dtype=jnp.int32)
    starts = jnp.pad(segment_ids[:, 1:] != segment_ids[:, :-1], ((0, 0), (1, 0)))
    first = lax.cummax(jnp.where(starts, index, 0), axis=1)
    return first if sliding_window is None else jnp.maximum(first, index - (sliding_window - 1))


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def blockwise(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    sliding_window: int | None = None,
) -> jax.Array:
    """`codeprm_jax.model.attention.attend` for arrays that are whole on one device.

    Memory beyond inputs and result grows with the length, not with its square, in both passes.
    """
    return _forward(query, key, value, segment_ids, sliding_window)[0]


def _forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    sliding_window: int | None,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    batch, length, heads, _ = query.shape
    kv_heads = key.shape[2]
    plan = _plan(batch, length, heads, kv_heads)
    first = _pad(first_visible(segment_ids, sliding_window), plan.length, length)
    q = _pad(query, plan.length)
    k, v = _pad(key, plan.key_length), _pad(value, plan.key_length)

    def block(i: Any, r: int, chains: Any, out: Any) -> Any:
        """Block i of queries, the r-th of its tile of keys, of all chains."""
        result, logsumexp = out
        start = i * plan.block
        queries = [_queries(q, c, start, plan, k.dtype) for c in chains]

        def tile(x: int, carry: Any, j: Any, count: int, mask: Any) -> Any:
            kb, vb = (_take(a, chains[x], j * plan.keys, count) for a in (k, v))
            return _forward_tile(carry, queries[x], kb, vb, mask)

        done = _sweep(plan, i, r, first, chains, tile, [None] * len(chains))
        for c, (mixed, peak, total) in zip(chains, done, strict=True):
            result = _put_rows(result, mixed / total[:, None], c, start, plan)
            logsumexp = _put_rows(logsumexp, (peak + jnp.log(total))[:, None], c, start, plan)
        return result, logsumexp

    out = (jnp.zeros(q.shape, query.dtype), jnp.zeros((*q.shape[:3], 1), jnp.float32))
    result, logsumexp = _over_chains(
        plan,
        batch * kv_heads,
        kv_heads,
        lambda chains, out: _over_blocks(plan, lambda i, r, o: block(i, r, chains, o), out),
        out,
    )
    result = result[:, :length]
    return result, (query, key, value, segment_ids, result, logsumexp)


def _backward(
    sliding_window: int | None, saved: tuple[jax.Array, ...], gradient: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    query, key, value, segment_ids, result, logsumexp = saved
    batch, length, heads, head_dim = query.shape
    kv_heads = key.shape[2]
    plan = _plan(batch, length, heads, kv_heads)
    first = _pad(first_visible(segment_ids, sliding_window), plan.length, length)
    # What the softmax's derivative subtracts: Σ_d o·do, one number a row (Dao et al. 2022, B.2).
    drift = (result.astype(jnp.float32) * gradient.astype(jnp.float32)).sum(-1, keepdims=True)
    q, g, drift = (_pad(x, plan.length) for x in (query, gradient.astype(key.dtype), drift))
    k, v = _pad(key, plan.key_length), _pad(value, plan.key_length)

    def block(i: Any, r: int, chains: Any, out: Any) -> Any:
        d_query, *d_keys = out
        start = i * plan.block
        queries = [_queries(q, c, start, plan, k.dtype) for c in chains]
        gradients, sums, drifts = (
            [_rows(a, c, start, plan) for c in chains] for a in (g, logsumexp, drift)
        )

        def tile(x: int, carry: Any, j: Any, count: int, mask: Any) -> Any:
            kb, vb = (_take(a, chains[x], j * plan.keys, count) for a in (k, v))
            dq, dk, dv = _backward_tile(queries[x], gradients[x], sums[x], drifts[x], kb, vb, mask)
            d_query, d_key, d_value = carry
            at = j * plan.keys
            return d_query + dq, _add(d_key, dk, at), _add(d_value, dv, at)

        zero = jnp.zeros((head_dim, plan.rows), jnp.float32)
        done = _sweep(plan, i, r, first, chains, tile, [(zero, *d) for d in d_keys])
        for c, (dq, _, _) in zip(chains, done, strict=True):
            d_query = _put_rows(d_query, dq.T * head_dim**-0.5, c, start, plan)
        return d_query, *((dk, dv) for _, dk, dv in done)

    def rows_of(chains: Any, out: Any) -> Any:
        d_query, d_key, d_value = out
        # Of these chains alone: the additions of one need not wait for those of another.
        zero = jnp.zeros((plan.key_length, head_dim), jnp.float32)
        d_query, *d_keys = _over_blocks(
            plan,
            lambda i, r, o: block(i, r, chains, o),
            (d_query, *((zero, zero) for _ in chains)),
        )
        for (b, h), (dk, dv) in zip(chains, d_keys, strict=True):
            at = (b, 0, h, 0)
            d_key = lax.dynamic_update_slice(d_key, dk[None, :, None].astype(d_key.dtype), at)
            d_value = lax.dynamic_update_slice(d_value, dv[None, :, None].astype(v.dtype), at)
        return d_query, d_key, d_value

    zeros = (jnp.zeros(q.shape, query.dtype), jnp.zeros_like(k), jnp.zeros_like(v))
    done = _over_chains(plan, batch * kv_heads, kv_heads, rows_of, zeros)
    d_query, d_key, d_value = (x[:, :length] for x in done)
    return d_query, d_key, d_value, None


blockwise.defvjp(_forward, _backward)


def _forward_tile(
    carry: Any, queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Online softmax: (weighted values, greatest score, sum of the weights) of each row."""
    scores = _dot(queries, keys, 1, 1)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    peak = scores.max(-1)
    if carry is None:  # the diagonal tile comes first: every row sees its own key there
        weights = jnp.exp(scores - peak[:, None])
        return _dot(weights.astype(values.dtype), values, 1, 0), peak, weights.sum(-1)
    mixed, old, total = carry
    peak = jnp.maximum(peak, old)
    weights, shrink = jnp.exp(scores - peak[:, None]), jnp.exp(old - peak)
    mixed = mixed * shrink[:, None] + _dot(weights.astype(values.dtype), values, 1, 0)
    return mixed, peak, total * shrink + weights.sum(-1)


def _backward_tile(
    queries: jax.Array,
    gradients: jax.Array,
    logsumexp: jax.Array,
    drift: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    mask: jax.Array | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The tile's part in the gradients of queries (transposed), keys and values.

    Scores are transposed, keys as rows: of the three products that have them as a factor, two
    then read them straight.
    """
    scores = _dot(keys, queries, 1, 1)
    if mask is not None:
        scores = jnp.where(mask.T, scores, -jnp.inf)
    weights = jnp.exp(scores - logsumexp.T)
    d_scores = weights * (_dot(values, gradients, 1, 1) - drift.T)
    weights, d_scores = weights.astype(keys.dtype), d_scores.astype(keys.dtype)
    return (
        _dot(keys, d_scores, 0, 0),
        _dot(d_scores, queries, 1, 0),
        _dot(weights, gradients, 1, 0),
    )


def _over_chains(
    plan: _Plan, total: int, kv_heads: int, body: Callable[[Any, Any], Any], out: Any
) -> Any:
    """Runs `body` for every group of chains; a chain is (batch row, key head)."""

    def step(n: Any, out: Any) -> Any:
        numbers = [n * plan.chains + x for x in range(plan.chains)]
        return body([(m // kv_heads, m % kv_heads) for m in numbers], out)

    return lax.fori_loop(0, total // plan.chains, step, out)


def _over_blocks(plan: _Plan, body: Callable[[Any, int, Any], Any], out: Any) -> Any:
    """Runs `body` for every block of queries.

    As many blocks as a tile of keys has are written out: each has its own static number of keys
    in the diagonal tile, so that little more than the causal half is computed.
    """

    def step(j: Any, out: Any) -> Any:
        for r in range(plan.ratio):
            out = body(j * plan.ratio + r, r, out)
        return out

    whole = plan.blocks // plan.ratio
    out = step(0, out) if whole == 1 else lax.fori_loop(0, whole, step, out)
    for r in range(plan.blocks % plan.ratio):
        out = body(whole * plan.ratio + r, r, out)
    return out


def _sweep(
    plan: _Plan,
    i: Any,
    r: int,
    first: jax.Array,
    chains: Any,
    tile: Callable[[int, Any, Any, int, Any], Any],
    carries: list[Any],
) -> list[Any]:
    """Folds `tile(chain, carry, tile number, keys, mask)` over the tiles that block i sees."""
    j = i // plan.ratio
    seen = [lax.dynamic_slice(first, (b, i * plan.block), (1, plan.block))[0] for b, _ in chains]
    lowest = [jnp.repeat(f, plan.group)[:, None] for f in seen]  # one a row of the tile
    count = (r + 1) * plan.block
    column = jnp.arange(count)[None] + j * plan.keys
    row = jnp.repeat(jnp.arange(plan.block), plan.group)[:, None] + i * plan.block
    carries = [
        tile(x, carry, j, count, (column <= row) & (column >= lowest[x]))
        for x, carry in enumerate(carries)
    ]

    def masked(j: Any, carries: Any) -> Any:
        column = jnp.arange(plan.keys)[None] + j * plan.keys
        return [tile(x, c, j, plan.keys, column >= lowest[x]) for x, c in enumerate(carries)]

    def plain(j: Any, carries: Any) -> Any:
        return [tile(x, c, j, plan.keys, None) for x, c in enumerate(carries)]

    if isinstance(j, int) and j == 0:  # nothing comes before: spare the compiler two loops
        return carries
    begin = jnp.stack([f[0] for f in seen]).min() // plan.keys
    end = jnp.stack([f[-1] for f in seen]).max()
    whole = jnp.clip(-(-end // plan.keys), begin, j)
    carries = lax.fori_loop(begin, whole, masked, carries)
    return lax.fori_loop(whole, j, plain, carries)


def _pad(x: jax.Array, length: int, fill: int = 0) -> jax.Array:
    """Pads axis 1 to `length`."""
    widths = [(0, length - x.shape[1] if axis == 1 else 0) for axis in range(x.ndim)]
    return jnp.pad(x, widths, constant_values=fill) if length > x.shape[1] else x


def _dot(a: jax.Array, b: jax.Array, axis_a: int, axis_b: int) -> jax.Array:
    """The product of two matrices, contracted over these axes, in float32."""
    return lax.dot_general(
        a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=jnp.float32
    )


def _take(x: jax.Array, chain: Any, start: Any, count: int) -> jax.Array:
    """`count` tokens of one key head: [count, head_dim]."""
    b, h = chain
    return lax.dynamic_slice(x, (b, start, h, 0), (1, count, 1, x.shape[3]))[0, :, 0]


def _queries(x: jax.Array, chain: Any, start: Any, plan: _Plan, dtype: Any) -> jax.Array:
    """`_rows` of the queries, scaled."""
    return (_rows(x, chain, start, plan) * x.shape[3] ** -0.5).astype(dtype)


def _rows(x: jax.Array, chain: Any, start: Any, plan: _Plan) -> jax.Array:
    """A block of queries of one key head's group, token by token: [block * group, head_dim]."""
    b, h = chain
    size = (1, plan.block, plan.group, x.shape[3])
    part = lax.dynamic_slice(x, (b, start, h * plan.group, 0), size)
    return part.reshape(plan.rows, x.shape[3])


def _put_rows(x: jax.Array, rows: jax.Array, chain: Any, start: Any, plan: _Plan) -> jax.Array:
    """The inverse of `_rows`."""
    b, h = chain
    part = rows.astype(x.dtype).reshape(1, plan.block, plan.group, x.shape[3])
    return lax.dynamic_update_slice(x, part, (b, start, h * plan.group, 0))


def _add(x: jax.Array, part: jax.Array, start: Any) -> jax.Array:
    """`x` with `part` added to its rows from `start` on."""
    old = lax.dynamic_slice(x, (start, 0), part.shape)
    return lax.dynamic_update_slice(x, old + part, (start, 0))
