"""The mesh and the rules that place arrays on it: the only file that names mesh axes.

Model and training code name the *logical* axes of an array ("batch", "embed", "heads", …); the
rules below say which mesh axes they are split over. One mesh of three axes serves all layouts:
'data' replicates parameters, 'fsdp' splits them, 'tensor' splits heads and hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from codeprm_jax.files import InputError

MESH_AXES = ("data", "fsdp", "tensor")

# Logical axis -> mesh axes. Parameters are split over 'fsdp' along their embedding axis and over
# 'tensor' along heads, hidden units or vocabulary. Activations are split over the batch, and keep
# their embedding axis whole: without a pin on the residual stream the partitioner would move it.
RULES: Mapping[str, tuple[str, ...]] = {
    "batch": ("data", "fsdp"),
    "length": (),
    "activation_embed": (),
    "activation_heads": ("tensor",),
    "layers": (),
    "embed": ("fsdp",),
    "vocab": ("tensor",),
    "heads": ("tensor",),
    "mlp": ("tensor",),
    "lora_rank": (),
    "norm": (),
}


@dataclass(frozen=True)
class MeshConfig:
    """Shape of the device mesh; -1, on one axis at most, means "all that remain".

    Attributes:
      data: replicas of the parameters that see different batches.
      fsdp: shards of parameters and optimizer state, which see different batches too.
      tensor: shards of each layer's heads and hidden units.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def shape(self, num_devices: int) -> tuple[int, int, int]:
        """The mesh's shape for this many devices. Raises InputError where it does not divide."""
        sizes = [self.data, self.fsdp, self.tensor]
        if sizes.count(-1) > 1 or any(s < 1 and s != -1 for s in sizes):
            raise InputError(f"mesh {sizes}: sizes are positive, and one at most is -1")
        fixed = math.prod(s for s in sizes if s != -1)
        if -1 in sizes:
            if num_devices % fixed:
                raise InputError(f"mesh {sizes} does not divide {num_devices} devices")
            sizes[sizes.index(-1)] = num_devices // fixed
        elif fixed != num_devices:
            raise InputError(
                f"mesh {sizes} needs {fixed} devices, here are {num_devices}; "
                "set one axis to -1 to use what there is"
            )
        return (sizes[0], sizes[1], sizes[2])


def make_mesh(
    config: MeshConfig = MeshConfig(), devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """A mesh with axes ('data', 'fsdp', 'tensor') over `devices` (default: all)."""
    devices = list(devices if devices is not None else jax.devices())
    shape = config.shape(len(devices))
    return jax.make_mesh(shape, MESH_AXES, axis_types=(AxisType.Auto,) * 3, devices=devices)


def partition_spec(
    mesh: Any, logical_axes: Sequence[str | None], shape: Sequence[int] | None = None
) -> PartitionSpec:
    """The PartitionSpec of an array with these logical axes.

    An axis whose length (where `shape` is given) its mesh axes do not divide stays whole: two
    key/value heads cannot be split over four devices. Raises KeyError on an unknown logical axis.
    """
    entries: list[Any] = []
    for index, name in enumerate(logical_axes):
        axes = RULES[name] if name is not None else ()
        if shape is not None and shape[index] % math.prod(mesh.shape[a] for a in axes):
            axes = ()
        entries.append(axes[0] if len(axes) == 1 else axes or None)
    return PartitionSpec(*entries)


def named_sharding(
    mesh: Mesh, logical_axes: Sequence[str | None], shape: Sequence[int] | None = None
) -> NamedSharding:
    """`partition_spec` bound to the mesh."""
    return NamedSharding(mesh, partition_spec(mesh, logical_axes, shape))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of [batch, ...] arrays."""
    return named_sharding(mesh, ("batch",))


def device_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of [devices] arrays: one entry a device."""
    return NamedSharding(mesh, PartitionSpec(MESH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_divisor(mesh: Mesh) -> int:
    """How many shards the batch axis has: batch sizes are multiples of it."""
    return math.prod(mesh.shape[axis] for axis in RULES["batch"])


def constrain(x: jax.Array, *logical_axes: str | None) -> jax.Array:
    """Pins an activation to its place under the mesh of `jax.set_mesh`; elsewhere returns it."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return x
    return jax.lax.with_sharding_constraint(x, partition_spec(mesh, logical_axes, x.shape))
