"""Attention for NVIDIA GPUs: JAX's Pallas kernel, which masks segments, and cuDNN's, which cannot.

`jax.nn.dot_product_attention(implementation="cudnn")` knows causal masks, windows and one length
a row; any other mask becomes a bias of [batch, heads, T, T], which is what a flash kernel is there
to avoid. So packed rows go to the Pallas kernel and cuDNN refuses them.
"""

from __future__ import annotations

from typing import Literal

import jax
from jax.experimental.pallas.ops.gpu import attention as pallas_attention

from codeprm_jax.files import InputError
from codeprm_jax.model.attention_splash import pad_to_multiple

# Tiles of keys and values, 64 x 128 in float32 and two stages deep, take 128 KiB of shared memory,
# which an A100 has; not tuned, for want of a GPU.
_BLOCK = 64
# Of the backward kernel, which holds more tiles; the kernel's own default.
_BACKWARD_BLOCK = 32


def check_pallas_gpu(*, sliding_window: int | None, head_dim: int) -> None:
    """Raises InputError where the Pallas kernel does not compute what is asked."""
    if sliding_window is not None:
        raise InputError(
            "attention: 'pallas_gpu' has no sliding window; use 'blockwise', "
            "or 'cudnn' with packing off"
        )
    if head_dim < 16 or head_dim > 256:
        raise InputError(
            f"attention: 'pallas_gpu' takes heads of 16 to 256 units, not {head_dim}; "
            "use 'blockwise'"
        )


def pallas_gpu(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    sliding_window: int | None = None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """`codeprm_jax.model.attention.attend` for arrays that are whole on one GPU.

    `interpret` runs the kernel in Pallas' interpreter, on any platform, for tests.
    """
    check_pallas_gpu(sliding_window=sliding_window, head_dim=query.shape[3])
    length, heads, head_dim = query.shape[1:]
    query, key, value, segment_ids = pad_to_multiple(_BLOCK, query, key, value, segment_ids)
    # The kernel has no grouped queries: key heads are repeated, which costs memory in proportion
    # to the length, and the gradient of the repetition adds a group's gradients up.
    group = heads // key.shape[2]
    key, value = (x.repeat(group, axis=2) for x in (key, value))
    mixed = pallas_attention.mha(
        query,
        key,
        value,
        segment_ids,
        sm_scale=head_dim**-0.5,
        causal=True,
        block_sizes=pallas_attention.BlockSizes(
            block_q=_BLOCK,
            block_k=_BLOCK,
            block_q_dkv=_BACKWARD_BLOCK,
            block_kv_dkv=_BACKWARD_BLOCK,
            block_q_dq=_BACKWARD_BLOCK,
            block_kv_dq=_BACKWARD_BLOCK,
        ),
        interpret=interpret,
    )
    return mixed[:, :length]


def check_cudnn(*, packed: bool, head_dim: int, dtype: str) -> None:
    """Raises InputError where cuDNN does not compute what is asked."""
    if packed:
        raise InputError(
            "attention: 'cudnn' cannot keep the examples of a packed row apart; "
            "use 'pallas_gpu', or turn packing off"
        )
    if dtype not in ("bfloat16", "float16"):
        raise InputError(
            f"attention: 'cudnn' takes bfloat16 and float16, not {dtype}; "
            "use 'pallas_gpu', or compute in bfloat16"
        )
    if head_dim % 8 or head_dim > 128:
        raise InputError(
            f"attention: 'cudnn' takes heads of at most 128 units, a multiple of 8, not "
            f"{head_dim}; use 'pallas_gpu'"
        )


def cudnn(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    sliding_window: int | None = None,
    *,
    implementation: Literal["cudnn", "xla"] = "cudnn",
) -> jax.Array:
    """`codeprm_jax.model.attention.attend` for rows of one example with padding at the end.

    No segment is masked: nothing stands before the example, and what stands behind it is in its
    future. `implementation="xla"` makes the same call without cuDNN, for tests.
    """
    del segment_ids
    return jax.nn.dot_product_attention(
        query,
        key,
        value,
        scale=query.shape[3] ** -0.5,
        is_causal=True,
        local_window_size=None if sliding_window is None else (sliding_window - 1, 0),
        implementation=implementation,
    )
