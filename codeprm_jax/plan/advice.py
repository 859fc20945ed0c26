"""What to change: when a program does not fit, and when a mesh makes it slower than it need be."""

from __future__ import annotations

import math

from jax.sharding import Mesh

from codeprm_jax.model.config import ModelConfig
from codeprm_jax.plan.compilation import Memory
from codeprm_jax.plan.topology import Topology
from codeprm_jax.training.config import TrainConfig

_GIB = 2**30
_TILE_ROWS = 16  # of two-byte elements in a TPU's tile
_FULL = 0.95  # how full the memory is planned


def to_make_it_fit(
    memory: Memory, config: TrainConfig, topology: Topology, mesh: Mesh, scorer: bool
) -> list[str]:
    """Changes that lower the memory, as options to type; those that change no result come first.

    Each is derived from the case: what is asked for already is not proposed, and the numbers assume
    that arguments shrink with the shards and temporaries with the rows.
    """
    replicas, shards, tensor = mesh.devices.shape
    model, rows = config.model, config.training.batch_rows
    room = _FULL * memory.limit
    found = []
    if not scorer and model.remat != "full":
        found.append("--model.remat full (keeps one activation a layer)")
    if model.dtype != "bfloat16":
        found.append("--model.dtype bfloat16 (halves activations)")
    if replicas > 1:
        wide = replicas * shards
        found.append(
            f"--mesh.data 1 --mesh.fsdp {wide} (parameters and moments {replicas} times further "
            f"split: {memory.arguments / replicas / _GIB:.1f} GiB instead of "
            f"{memory.arguments / _GIB:.1f})"
        )
    divisor = replicas * shards
    if rows > divisor and memory.arguments < room:
        share = (room - memory.arguments) / memory.temporaries
        fewer = max(divisor, int(rows * share) // divisor * divisor)
        found.append(f"--training.batch-rows {fewer} ({fewer // divisor} a shard)")
    elif rows == divisor and tensor * 2 <= model.num_kv_heads and divisor % 2 == 0:
        found.append(
            f"--mesh.tensor {tensor * 2} with --training.batch-rows {rows // 2} or more (one row's "
            "heads and hidden units over several chips)"
        )
    factor = 2 ** math.ceil(math.log2(max(2.0, memory.peak / room)))
    found.append(f"{topology.num_chips * factor} chips instead of {topology.num_chips}")
    if config.checkpoint and not (scorer or model.lora.rank) and memory.arguments > room / 4:
        found.append("LoRA (--model.lora.rank 8): no gradients and moments of the base")
    return found


def about_the_mesh(model: ModelConfig, mesh: Mesh) -> list[str]:
    """Remarks on shards that the hardware cannot move efficiently."""
    replicas, shards, _ = mesh.devices.shape
    hidden = model.hidden_size
    if shards == 1:
        return []
    good = max(
        (n for n in range(1, shards + 1) if shards % n == 0 and hidden % (n * _TILE_ROWS) == 0),
        default=1,
    )
    better = f"--mesh.fsdp {good} --mesh.data {replicas * shards // good}"
    if hidden % shards:
        return [
            f"hidden_size {hidden} is no multiple of fsdp = {shards}: parameters stay whole on "
            f"every device; try {better}"
        ]
    if good < shards:
        return [
            f"fsdp = {shards} leaves shards of {hidden // shards} rows, no whole tiles of "
            f"{_TILE_ROWS}: the compiler may gather and reduce them by all-reduces at twice the "
            f"traffic; try {better}"
        ]
    return []
