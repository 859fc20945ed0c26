"""Attention over a tree of tokens against the definition: who stands above me, and I."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.model.attention import attend
from codeprm_jax.model.attention_tree import Visible, attend_tree


def of_parents(parents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of subtrees, depths and the mask [queries, keys] of a tree in depth-first order."""
    count = len(parents)
    mask = np.eye(count, dtype=bool)
    depths = np.zeros(count, np.int32)
    for i, parent in enumerate(parents):
        if parent >= 0:
            mask[i] |= mask[parent]
            depths[i] = depths[parent] + 1
    until = np.array([np.flatnonzero(mask[:, j]).max() + 1 for j in range(count)], np.int32)
    return until, depths, mask


def random_tree(rng: np.random.Generator, count: int, branches: float) -> np.ndarray:
    """int[count] parents, -1 for roots, in depth-first order."""
    parents = [-1]
    for i in range(1, count):
        above = i - 1
        while above >= 0 and rng.random() < branches:
            above = parents[above]
        parents.append(above)
    return np.array(parents)


def dense(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[queries, heads, head_dim] by the textbook, in float64."""
    group = query.shape[1] // key.shape[1]
    key, value = (x.repeat(group, axis=1).astype(np.float64) for x in (key, value))
    scores = np.einsum("qhd,khd->hqk", query, key) * query.shape[-1] ** -0.5
    scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hqk,khd->qhd", weights / weights.sum(-1, keepdims=True), value)


@given(
    seed=st.integers(0, 2**20),
    count=st.sampled_from([1, 7, 130, 300]),
    cached=st.sampled_from([0, 5, 300]),
    heads=st.sampled_from([(4, 4), (4, 2), (3, 1)]),
    window=st.sampled_from([None, 4]),
    branches=st.sampled_from([0.0, 0.05, 0.5]),
)
@settings(max_examples=25, deadline=None)
def test_every_token_sees_what_stands_above_it(
    seed: int, count: int, cached: int, heads: tuple[int, int], window: int | None, branches: float
) -> None:
    """Also with keys from a cache, for some of the queries only, and with padding behind."""
    rng = np.random.default_rng(seed)
    until, depths, mask = of_parents(random_tree(rng, count, branches))
    # Cached tokens: each seen by an interval of the row, at positions before the row's own.
    first = rng.integers(0, count + 1, cached).astype(np.int32)
    ends = np.minimum(first + rng.integers(0, count + 1, cached), count).astype(np.int32)
    at = np.arange(count)[:, None]
    mask = np.concatenate([(first <= at) & (at < ends), mask], axis=1)
    key_positions = np.concatenate([np.arange(cached), depths + cached]).astype(np.int32)
    if window is not None:
        mask &= (depths + cached)[:, None] - key_positions < window
    query = rng.normal(size=(count, heads[0], 8)).astype(np.float32)
    key, value = rng.normal(size=(2, cached + count, heads[1], 8)).astype(np.float32)
    asking = np.unique(rng.integers(0, count, count))
    visible = Visible(
        *(
            jnp.asarray(x, jnp.int32)[None]
            for x in (
                asking,
                np.concatenate([first, np.arange(count)]),
                np.concatenate([ends, until]),
                (depths + cached)[asking],
                key_positions,
            )
        )
    )
    found = jax.jit(attend_tree, static_argnums=4)(
        query[None, asking], key[None], value[None], visible, window
    )
    expected = dense(query, key, value, mask)[asking]
    np.testing.assert_allclose(found[0], expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tree_without_branches_is_a_packed_row(dtype: str) -> None:
    rng = np.random.default_rng(0)
    query = jnp.asarray(rng.normal(size=(2, 384, 4, 16)), dtype)
    key, value = (jnp.asarray(rng.normal(size=(2, 384, 2, 16)), dtype) for _ in range(2))
    segments = np.repeat([[1, 2, 3, 0], [1, 1, 2, 2]], 96, axis=1).astype(np.int32)
    ends = np.array([[np.flatnonzero(s == s[i]).max() + 1 for i in range(384)] for s in segments])
    at = jnp.broadcast_to(jnp.arange(384, dtype=jnp.int32), (2, 384))
    visible = Visible(at, at, jnp.asarray(ends, jnp.int32), at, at)
    found = jax.jit(attend_tree)(query, key, value, visible)
    expected = attend(query, key, value, jnp.asarray(segments))
    assert found.dtype == query.dtype
    tolerance = 1e-6 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(
        found.astype(np.float32), expected.astype(np.float32), atol=tolerance
    )
