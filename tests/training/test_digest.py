from __future__ import annotations

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from codeprm_jax.sharding import MeshConfig, make_mesh, named_sharding
from codeprm_jax.training.digest import digests


@pytest.mark.parametrize("dtype", [np.float32, np.int32, ml_dtypes.bfloat16, np.uint8])
def test_a_digest_sees_every_bit_and_every_place(dtype: type) -> None:
    values = np.random.default_rng(0).integers(0, 100, (7, 13)).astype(dtype)
    (whole,) = digests([values])
    assert 0 <= whole < 2**32 and digests([values]) == [whole]
    flipped = values.copy()
    flipped.view(np.uint8).flat[17] ^= 4
    swapped = values[::-1].copy()
    assert len({whole, *digests([flipped]), *digests([swapped]), *digests([values.T])}) == 4


def test_a_digest_does_not_depend_on_the_mesh() -> None:
    values = np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32)
    found = set()
    for shape in ((1, 8, 1), (2, 2, 2), (1, 1, 8)):
        mesh = make_mesh(MeshConfig(*shape))
        placed = jax.device_put(values, named_sharding(mesh, ("embed", "mlp")))
        found |= set(digests({"x": placed}))
    assert found == set(digests([jnp.asarray(values)]))


def test_zeros_of_another_shape_are_others() -> None:
    """A tensor of zeros has a digest like any other: lost data reads as zeros."""
    assert len(set(digests([np.zeros(4, np.float32), np.zeros(5, np.float32)]))) == 2
    assert digests([np.zeros(4, np.float32)]) != [0]
