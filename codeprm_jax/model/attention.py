"""Attention behind one function: causal, within segments, grouped queries, optional window.

Four implementations compute the same thing; docs/attention.md has their measurements and limits.

- "blockwise": plain JAX, for CPUs and wherever nothing else runs (`attention_blockwise`);
- "splash": the Pallas kernel for TPUs (`attention_splash`);
- "pallas_gpu": the Pallas kernel (Triton) for NVIDIA GPUs (`attention_gpu`);
- "cudnn": cuDNN's kernel, for rows of one example each: it cannot mask segments (`attention_gpu`).

"auto" means the first of them that the platform and the call allow: see `resolve`. Nothing else is
ever chosen in silence: `check` refuses what cannot be guaranteed, before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import jax
from jax.sharding import AbstractMesh, Mesh

from codeprm_jax.files import InputError
from codeprm_jax.model import attention_gpu, attention_splash
from codeprm_jax.model.attention_blockwise import blockwise
from codeprm_jax.model.attention_shards import on_every_shard
from codeprm_jax.model.config import Implementation, ModelConfig

# Where each runs. Pallas' interpreter, which the tests use, is no way to run a model.
_PLATFORMS: dict[str, tuple[str, ...]] = {
    "blockwise": ("cpu", "gpu", "tpu"),
    "splash": ("tpu",),
    "pallas_gpu": ("gpu",),
    "cudnn": ("gpu",),
}


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    *,
    implementation: Implementation = "auto",
    sliding_window: int | None = None,
    packed: bool = True,
) -> jax.Array:
    """Attention in which a token sees itself and the earlier tokens of its segment.

    Under the mesh of `jax.set_mesh` each device computes its own rows and heads.

    Args:
      query: [batch, length, heads, head_dim], any float dtype.
      key, value: [batch, length, kv_heads, head_dim]; heads is a multiple of kv_heads, and
        consecutive heads share a key head.
      segment_ids: int32[batch, length]; the tokens of an example stand together. 0 is padding,
        a segment like any other: a padded query sees padding, so no row of the softmax is empty.
      implementation: which kernel; "auto" chooses by `resolve` from the devices of the mesh, or
        from JAX's default backend where there is none.
      sliding_window: if set, a token sees itself and the sliding_window - 1 tokens before it.
      packed: False promises that a row holds one example, with its padding at the end. Then the
        result of "cudnn" at padding is arbitrary but finite.

    Returns:
      [batch, length, heads, head_dim] in the query's dtype. Scores are scaled by head_dim**-0.5;
      the softmax is float32. Products follow jax_default_matmul_precision.

    Raises:
      InputError: the implementation cannot do what is asked; see `check`.
    """
    mesh = jax.sharding.get_abstract_mesh()
    name = resolve(implementation, platform(mesh), packed=packed, sliding_window=sliding_window)
    check(
        name,
        packed=packed,
        sliding_window=sliding_window,
        head_dim=query.shape[-1],
        dtype=str(query.dtype),
    )
    kernels: dict[str, Callable[..., jax.Array]] = {
        "blockwise": blockwise,
        "splash": attention_splash.splash,
        "pallas_gpu": attention_gpu.pallas_gpu,
        "cudnn": attention_gpu.cudnn,
    }

    def kernel(q: jax.Array, k: jax.Array, v: jax.Array, s: jax.Array) -> jax.Array:
        return kernels[name](q, k, v, s, sliding_window)

    return on_every_shard(kernel, query, key, value, segment_ids)


def resolve(
    implementation: Implementation,
    platform: str,
    *,
    packed: bool = True,
    sliding_window: int | None = None,
) -> str:
    """The name of the implementation that "auto" stands for; any other name is returned as it is.

    "tpu": splash. "gpu" (or "cuda"): pallas_gpu, but blockwise with a sliding window, which the
    kernel lacks; cudnn is faster on unpacked rows but takes 16-bit floats only and is therefore
    never chosen unasked. "cpu": blockwise.

    Raises:
      InputError: there is no such implementation, or it does not run on this platform.
    """
    platform = {"cuda": "gpu", "rocm": "gpu"}.get(platform, platform)
    if implementation not in get_args(Implementation):
        raise InputError(
            f"attention: no implementation {implementation!r}; "
            f"there are {', '.join(get_args(Implementation))}"
        )
    if implementation == "auto":
        if platform == "tpu":
            return "splash"
        return "pallas_gpu" if platform == "gpu" and sliding_window is None else "blockwise"
    if platform not in _PLATFORMS[implementation]:
        raise InputError(
            f"attention: {implementation!r} runs on {' and '.join(_PLATFORMS[implementation])}, "
            f"not on {platform}; use 'auto'"
        )
    return implementation


def check(
    implementation: str,
    *,
    packed: bool,
    sliding_window: int | None,
    head_dim: int,
    dtype: str = "float32",
) -> None:
    """Refuses, at start-up, what a resolved implementation cannot compute exactly.

    Raises:
      InputError: names the implementation, what it lacks, and what to use instead.
    """
    if sliding_window is not None and sliding_window < 1:
        raise InputError(f"attention: a sliding window of {sliding_window} tokens sees nothing")
    if implementation == "pallas_gpu":
        attention_gpu.check_pallas_gpu(sliding_window=sliding_window, head_dim=head_dim)
    elif implementation == "cudnn":
        attention_gpu.check_cudnn(packed=packed, head_dim=head_dim, dtype=dtype)
    elif implementation not in _PLATFORMS:
        raise InputError(f"attention: {implementation!r} is not resolved; call resolve first")


def check_config(config: ModelConfig, mesh: Mesh, *, packed: bool) -> None:
    """`resolve` and `check` for a model on the devices of a mesh. Raises InputError as they do."""
    name = resolve(
        config.attention,
        mesh.devices.flat[0].platform,
        packed=packed,
        sliding_window=config.sliding_window,
    )
    check(
        name,
        packed=packed,
        sliding_window=config.sliding_window,
        head_dim=config.head_dim,
        dtype=config.dtype,
    )


def platform(mesh: AbstractMesh) -> str:
    """That of the mesh's devices, or of JAX's default backend where there is no mesh.

    A mesh of a topology that is not there (compiling ahead of time) knows its platform too.
    """
    device = mesh.abstract_device
    return device.platform if device is not None else jax.default_backend()
