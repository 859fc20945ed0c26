"""Causal attention within segments, computed block by block of queries."""

from __future__ import annotations

import jax
import jax.numpy as jnp

QUERY_BLOCK = 128


def segment_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    query_block: int = QUERY_BLOCK,
) -> jax.Array:
    """Grouped-query attention in which a token sees itself and earlier tokens of its segment.

    Queries are taken in blocks, each against the keys up to the block's end, so the [T, T] scores
    never exist at once and keys in the future are not computed. Padding is a segment like any
    other (id 0): a padded query sees itself, so no row of the softmax is empty.

    Args:
      query: [batch, length, heads, head_dim], any float dtype.
      key, value: [batch, length, kv_heads, head_dim]; heads is a multiple of kv_heads.
      segment_ids: int32[batch, length]; tokens of one example stand together.
      query_block: queries a block; the result does not depend on it.

    Returns:
      [batch, length, heads, head_dim] in the query's dtype; the softmax is float32.
    """
    batch, length, heads, head_dim = query.shape
    kv_heads = key.shape[2]
    grouped = query.reshape(batch, length, kv_heads, heads // kv_heads, head_dim) * head_dim**-0.5
    index = jnp.arange(length)
    outputs = []
    for start in range(0, length, query_block):
        end = min(start + query_block, length)
        scores = jnp.einsum(
            "btkgd,bskd->bkgts",
            grouped[:, start:end],
            key[:, :end],
            preferred_element_type=jnp.float32,
        )
        causal = index[start:end, None] >= index[None, :end]
        same = segment_ids[:, start:end, None] == segment_ids[:, None, :end]
        mask = (causal & same)[:, None, None]
        weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)
        outputs.append(jnp.einsum("bkgts,bskd->btkgd", weights.astype(value.dtype), value[:, :end]))
    return jnp.concatenate(outputs, axis=1).reshape(batch, length, heads, head_dim)
