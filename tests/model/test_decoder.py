from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.model.config import LoraConfig, ModelConfig
from tests.conftest import TINY, random_tokens, tiny_params


def test_packed_logits_equal_unpacked_ones() -> None:
    """Invariant 3."""
    rng = np.random.default_rng(1)
    params = tiny_params()
    forward = jax.jit(partial(decoder.apply, TINY))
    lengths = [17, 1, 30, 9]
    rows = [random_tokens(rng, n) for n in lengths]
    packed = np.zeros((1, 64), np.int32)
    segments, positions = packed.copy(), packed.copy()
    start = 0
    for number, row in enumerate(rows, 1):
        span = slice(start, start + len(row))
        packed[0, span], segments[0, span] = row, number
        positions[0, span] = np.arange(len(row))
        start += len(row)
    together = np.asarray(forward(params, packed, segments, positions))[0]
    start = 0
    for row in rows:
        ones, at = np.ones((1, len(row)), np.int32), np.arange(len(row))[None]
        alone = np.asarray(forward(params, row[None], ones, at))[0]
        assert np.abs(together[start : start + len(row)] - alone).max() < 1e-5
        start += len(row)


def test_counts_agree_with_the_arrays() -> None:
    for config in (TINY, ModelConfig(), ModelConfig(num_layers=3, num_kv_heads=4)):
        abstract = jax.eval_shape(lambda c=config: decoder.create(c, 0))
        assert sum(x.size for x in jax.tree.leaves(abstract)) == config.num_params()


def test_layers_written_out_are_the_scanned_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = random_tokens(np.random.default_rng(4), 2, 16)
    at = np.tile(np.arange(16, dtype=np.int32), (2, 1))
    config = replace(TINY, lora=LoraConfig(rank=2, dropout=0.5))
    params = decoder.create(config, 0)
    key = jax.random.key(1)

    def logits(p: decoder.Params) -> jax.Array:
        return decoder.apply(config, p, tokens, at * 0 + 1, at, key, derived=True)

    def grads() -> tuple[decoder.Params, str]:
        loss = lambda p: (logits(p) ** 2).sum()  # noqa: E731
        traced = jax.jit(jax.grad(loss)).trace(params)
        return jax.jit(jax.grad(loss))(params), str(traced.jaxpr)

    written_out, program = grads()
    monkeypatch.setattr(decoder, "UNROLLED_LAYERS", 0)
    scanned, loop = grads()
    assert program.count("concatenate") > loop.count("concatenate")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-5), written_out, scanned)


def test_remat_and_dtype_do_what_they_say() -> None:
    tokens = random_tokens(np.random.default_rng(3), 2, 16)
    at = np.tile(np.arange(16, dtype=np.int32), (2, 1))
    params = tiny_params()

    def grads(config: ModelConfig) -> decoder.Params:
        loss = lambda p: (decoder.apply(config, p, tokens, at * 0 + 1, at) ** 2).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(params)

    plain = grads(TINY)
    for remat in ("dots", "full"):
        again = grads(replace(TINY, remat=remat))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), plain, again)
    half = replace(TINY, dtype="bfloat16")
    model = decoder.bind(half, params)
    assert model.hidden_states(tokens, at * 0 + 1, at).dtype == jnp.bfloat16
    logits = decoder.apply(half, params, tokens, at * 0 + 1, at)
    assert logits.dtype == jnp.float32
    full = decoder.apply(TINY, params, tokens, at * 0 + 1, at)
    assert 0 < jnp.abs(full - logits).max() < 0.02


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="multiple"):
        ModelConfig(num_heads=4, num_kv_heads=3)
    with pytest.raises(InputError, match="head_dim"):
        ModelConfig(head_dim=7)
    with pytest.raises(InputError, match="model config"):
        ModelConfig.from_json({"hidden": 3})
