"""Attention for TPUs: JAX's splash kernel (Pallas), forward and backward, with segments.

Splash skips the blocks of keys that a static mask (causal, or a window) leaves empty, and masks
segments inside the blocks. It needs lengths that its blocks divide; the rest is padded here.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel as splash_kernel,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_mask as splash_mask,
)

# The kernel's unit of length, the vector lanes of a TPU, and the block we ask for where it fits.
_LANES = 128
_BLOCK = 512


def splash(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    sliding_window: int | None = None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """`codeprm_jax.model.attention.attend` for arrays that are whole on one TPU.

    `interpret` runs the kernel in Pallas' interpreter, on any platform, for tests.
    """
    length, heads, head_dim = query.shape[1:]
    block = _block(length)
    query, key, value, segment_ids = pad_to_multiple(block, query, key, value, segment_ids)
    kernel = _kernel(query.shape[1], heads, block, sliding_window, interpret)

    def row(q: jax.Array, k: jax.Array, v: jax.Array, segments: jax.Array) -> jax.Array:
        q, k, v = (x.swapaxes(0, 1) for x in (q, k, v))  # the kernel wants heads first
        mixed: Any = kernel(q, k, v, splash_kernel.SegmentIds(segments, segments))
        return mixed.swapaxes(0, 1)

    # The kernel does not scale; in float32, so that bfloat16 queries are rounded once only.
    scaled = (query.astype(jnp.float32) * head_dim**-0.5).astype(query.dtype)
    return jax.vmap(row)(scaled, key, value, segment_ids)[:, :length].astype(query.dtype)


def kernel_flops(name: str, query: tuple[int, ...], sliding_window: int | None = None) -> float:
    """FLOPs of one call of a splash kernel, whole blocks counted as they are computed.

    Two products in the forward kernel (q k, p v), three in the one of dq (q k, do v, ds k), four in
    the one of dk and dv (q k, do v, p do, ds q).

    Args:
      name: of the kernel in a compiled program, such as "splash_mha_dq_segmented".
      query: dimensions of its queries, [..., heads, length, head_dim].
    """
    products = 4 if "_dkv" in name else 3 if "_dq" in name else 2
    length = query[-2]
    block = _block(length)
    blocks = -(-length // block)
    seen = sum(
        row - max(0, (row * block - (sliding_window or length)) // block) + 1
        for row in range(blocks)
    )
    return products * 2.0 * math.prod(query) * length * seen / blocks**2


def pad_to_multiple(
    block: int, query: jax.Array, key: jax.Array, value: jax.Array, segment_ids: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The arguments of an attention, padded along the length to a multiple of `block`.

    The padding is a segment of its own, -1, behind all others.
    """
    padding = -segment_ids.shape[1] % block
    if not padding:
        return query, key, value, segment_ids
    widths = ((0, 0), (0, padding), (0, 0), (0, 0))
    query, key, value = (jnp.pad(x, widths) for x in (query, key, value))
    return query, key, value, jnp.pad(segment_ids, widths[:2], constant_values=-1)


def _block(length: int) -> int:
    return min(_BLOCK, length + -length % _LANES)


def _kernel(
    length: int, heads: int, block: int, sliding_window: int | None, interpret: bool
) -> splash_kernel.SplashAttentionKernel:
    shape = (length, length)
    mask = (
        splash_mask.CausalMask(shape)
        if sliding_window is None
        else splash_mask.LocalMask(shape, window_size=(sliding_window - 1, 0), offset=0)
    )
    return splash_kernel.make_splash_mha_single_device(
        splash_mask.MultiHeadMask([mask] * heads),
        block_sizes=splash_kernel.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        interpret=interpret,
    )
