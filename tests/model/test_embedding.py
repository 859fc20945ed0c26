"""Embeddings looked up in a split table are the plain ones, and so is the table's gradient."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codeprm_jax.model.embedding import look_up
from codeprm_jax.sharding import MeshConfig, make_mesh, named_sharding
from tests.conftest import random_tokens

VOCAB, WIDTH = 640, 32


def loss(table: jax.Array, tokens: jax.Array, weights: jax.Array) -> jax.Array:
    return (look_up(table, tokens, jnp.dtype("bfloat16")).astype(jnp.float32) * weights).sum()


# Rows that the mesh divides, and rows and a width that it does not.
@pytest.mark.parametrize("rows, width", [(8, WIDTH), (3, WIDTH), (8, 30)])
@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 4, 2), (1, 1, 8)])
def test_a_split_table_gives_the_plain_rows(
    shape: tuple[int, int, int], rows: int, width: int
) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(VOCAB, width)).astype(np.float32)
    tokens = random_tokens(rng, rows, 16)
    weights = rng.normal(size=(rows, 16, width)).astype(np.float32)
    plain, gradient = jax.value_and_grad(loss)(table, tokens, weights)
    mesh = make_mesh(MeshConfig(*shape))
    sharding = named_sharding(mesh, ("vocab", "table"), table.shape)
    with jax.set_mesh(mesh):
        split, split_gradient = jax.jit(
            jax.value_and_grad(loss), in_shardings=(sharding, None, None)
        )(table, tokens, weights)
    np.testing.assert_allclose(split, plain, rtol=1e-5)
    np.testing.assert_allclose(split_gradient, gradient, rtol=1e-5, atol=1e-6)


def test_the_table_is_never_whole_on_a_device() -> None:
    mesh = make_mesh(MeshConfig(2, 2, 2))
    sharding = named_sharding(mesh, ("vocab", "table"), (VOCAB, WIDTH))
    assert math.prod(sharding.shard_shape((VOCAB, WIDTH))) * 4 == VOCAB * WIDTH
    table = jax.ShapeDtypeStruct((VOCAB, WIDTH), np.float32, sharding=sharding)
    tokens = jax.ShapeDtypeStruct((8, 16), np.int32)
    weights = jax.ShapeDtypeStruct((8, 16, WIDTH), np.float32)
    with jax.set_mesh(mesh):
        step = jax.jit(jax.value_and_grad(loss))
        text = step.lower(table, tokens, weights).compile().as_text()
    assert f"[{VOCAB},{WIDTH // 4}]" in text
    assert f"[{VOCAB},{WIDTH}]" not in text and f"[{VOCAB},{WIDTH // 2}]" not in text


def test_gradients_of_frequent_tokens_are_added_up_in_float32() -> None:
    """In bfloat16 a sum of ones stops growing at 256."""
    table = np.zeros((4, 8), np.float32)
    tokens = np.ones((8, 128), np.int32)
    gradient = jax.grad(loss)(table, tokens, np.ones((8, 128, 8), np.float32))
    np.testing.assert_array_equal(gradient[1], 1024)
