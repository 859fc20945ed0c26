"""Digests of arrays, to tell on restoring whether a checkpoint holds what was saved.

The files of a checkpoint carry no checksum of the numbers in them: a flipped bit is read as
another number, without an error. A digest is computed where the array is, without a copy of it, and
does not depend on how it is split over devices, so that it can be compared after a move to another
mesh.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_WIDTHS = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def digests(tree: Any) -> list[int]:
    """A number below 2**32 for each array of a tree, in the tree's order.

    Raises KeyError on an array of 64-bit numbers.
    """
    return [int(x) for x in np.asarray(jax.device_get(_digests(tree)))]


def all_finite(tree: Any) -> bool:
    """Whether no number of the floating point arrays of a tree is infinite or NaN."""
    return bool(jax.device_get(_all_finite(tree)))


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


@jax.jit
def _digests(tree: Any) -> jax.Array:
    return jnp.stack([_digest(leaf) for leaf in jax.tree.leaves(tree)])


def _digest(x: jax.Array) -> jax.Array:
    """The wrapping sum of each number's bits, mixed with its place (murmur3's finaliser)."""
    bits = jax.lax.bitcast_convert_type(x, _WIDTHS[x.dtype.itemsize]).astype(jnp.uint32)
    place = jnp.zeros(x.shape, jnp.uint32)
    for axis, size in enumerate(x.shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
    mixed = bits ^ (place * np.uint32(0x9E3779B9) + np.uint32(1))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> shift)) * np.uint32(factor)
    return (mixed ^ (mixed >> 16)).sum(dtype=jnp.uint32)
