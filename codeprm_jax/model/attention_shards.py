"""Attention on a mesh: each device computes the rows and heads that it holds."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from jax.sharding import AbstractMesh

from codeprm_jax.sharding import partition_spec


def on_every_shard(
    kernel: Callable[..., jax.Array],
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *of_rows: jax.Array,
) -> jax.Array:
    """`kernel(query, key, value, *of_rows)` on the rows and heads that each device holds.

    Attention mixes neither. The partitioner cannot cut a Pallas kernel, nor a loop over rows, into
    shards by itself. Without the mesh of `jax.set_mesh` the kernel is simply called.

    Args:
      query: [batch, queries, heads, head_dim].
      key, value: [batch, keys, kv_heads, head_dim].
      of_rows: [batch, ...] without heads.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.are_all_axes_manual:
        return kernel(query, key, value, *of_rows)
    heads, kv_heads = query.shape[2], key.shape[2]
    logical = ("batch", "length", "activation_heads", None)
    shards = _shards(mesh, heads)
    copies = shards // math.gcd(kv_heads, shards)
    if heads % (kv_heads * copies) == 0:
        # Fewer key heads than shards: each is repeated for the shards that need it.
        if copies > 1:
            key, value = (x.repeat(copies, axis=2) for x in (key, value))
        specs = [partition_spec(mesh, logical, x.shape) for x in (query, key, value)]
    else:  # heads that do not come out even stay whole, on every device
        whole = ("batch", "length", None, None)
        specs = [partition_spec(mesh, whole, x.shape) for x in (query, key, value)]
    specs += [partition_spec(mesh, ("batch", "length"), x.shape) for x in of_rows]
    # Not checked for varying axes: Pallas calls and loops that start from constants declare none.
    mapped = jax.shard_map(kernel, in_specs=tuple(specs), out_specs=specs[0], check_vma=False)
    return mapped(query, key, value, *of_rows)


def _shards(mesh: AbstractMesh, heads: int) -> int:
    """Over how many devices this many heads are split."""
    (axes,) = partition_spec(mesh, ("activation_heads",), (heads,))
    names = (axes,) if isinstance(axes, str) else axes or ()
    return math.prod(mesh.shape[name] for name in names)
