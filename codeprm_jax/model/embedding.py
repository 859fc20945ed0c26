"""Looking embeddings up in a table that is split over the mesh, without gathering the table.

The PRM only looks its table up. So the table is split along the embedding axis (rule "table" of
codeprm_jax.sharding), each device reads its columns for all tokens of the devices that share the
table, and one all-to-all brings the activations home. Moved are token ids (4 bytes each) and
activations in the compute dtype, never the table. Each device's gradient is that of its own
columns, so that nothing is reduced but over replicas. Left to itself the partitioner gathers the
table or, for its gradient, reduces it whole.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from codeprm_jax.sharding import constrain, split_axes


def look_up(table: jax.Array, tokens: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Rows of `table` [vocab, embed] for int32[batch, length]: [batch, length, embed] in `dtype`.

    The table's gradient is added up in the table's dtype. Under the mesh of `jax.set_mesh` the
    result is placed as the residual stream is.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.are_all_axes_manual:
        return table[tokens].astype(dtype)
    columns = split_axes(mesh, "table", table.shape[1])
    rows = split_axes(mesh, "batch", tokens.shape[0])
    if not columns:  # the table is whole on every device
        return constrain(table[tokens].astype(dtype), "batch", "length", "activation_embed")
    # Axes that split both: over them tokens are gathered, and activations change places.
    shared = tuple(axis for axis in columns if axis in rows)
    kept = tuple(axis for axis in columns if axis not in rows)

    def on_a_device(table: jax.Array, tokens: jax.Array) -> jax.Array:
        if shared:
            tokens = jax.lax.all_gather(tokens, shared, axis=0, tiled=True)
        x = table[tokens].astype(dtype)
        if shared:
            x = jax.lax.all_to_all(x, shared, split_axis=0, concat_axis=2, tiled=True)
        return x

    mapped = jax.shard_map(
        on_a_device,
        in_specs=(PartitionSpec(None, columns), PartitionSpec(rows)),
        out_specs=PartitionSpec(rows, None, kept),
        axis_names={axis for axis in mesh.axis_names if mesh.shape[axis] > 1},
    )
    x = mapped(table, tokens)
    return constrain(x, "batch", "length", "activation_embed")
