from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
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


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_hidden_states_are_those_of_transformers(kv_heads: int) -> None:
    """Invariant 6 for Qwen2: the same weights give the same hidden states."""
    torch = pytest.importorskip("torch", reason="parity with transformers needs the dev extra")
    from transformers import Qwen2Config
    from transformers.models.qwen2.modeling_qwen2 import Qwen2Model

    config = replace(TINY, num_kv_heads=kv_heads, rope_theta=1e6)
    torch.manual_seed(0)
    theirs = Qwen2Model(
        Qwen2Config(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            rms_norm_eps=config.rms_norm_eps,
        )
    ).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where they would prove nothing
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    params = jax.jit(lambda: decoder.create(config, 0))()
    weights = {k: v.numpy() for k, v in theirs.state_dict().items()}
    params["embed_tokens"]["embedding"] = weights["embed_tokens.weight"]
    params["norm"]["scale"] = weights["norm.weight"]
    leaf = {"kernel": "weight", "bias": "bias", "scale": "weight"}

    def stacked(path: tuple, _: jax.Array) -> np.ndarray:
        *module, kind = (k.key for k in path)
        name = ".".join([*module, leaf[kind]])
        arrays = [weights[f"layers.{i}.{name}"] for i in range(config.num_layers)]
        return np.stack([a.T if a.ndim == 2 else a for a in arrays])

    params["layers"] = jax.tree_util.tree_map_with_path(stacked, params["layers"])
    tokens = random_tokens(np.random.default_rng(2), 2, 150)
    with torch.no_grad():
        expected = theirs(torch.tensor(tokens, dtype=torch.long)).last_hidden_state.numpy()
    model = decoder.bind(config, params)
    at = np.tile(np.arange(150, dtype=np.int32), (2, 1))
    ours = np.asarray(model.hidden_states(tokens, np.ones_like(tokens), at))
    assert np.abs(ours - expected).max() < 1e-4


def test_counts_agree_with_the_arrays() -> None:
    for config in (TINY, ModelConfig(), ModelConfig(num_layers=3, num_kv_heads=4)):
        abstract = jax.eval_shape(lambda c=config: decoder.create(c, 0))
        assert sum(x.size for x in jax.tree.leaves(abstract)) == config.num_params()


def test_remat_and_dtype_do_what_they_say() -> None:
    tokens = random_tokens(np.random.default_rng(3), 2, 16)
    at = np.tile(np.arange(16, dtype=np.int32), (2, 1))
    params = tiny_params()

    def grads(config: ModelConfig) -> decoder.Params:
        loss = lambda p: (decoder.apply(config, p, tokens, at * 0 + 1, at) ** 2).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(params)

    plain, again = grads(TINY), grads(replace(TINY, remat=True))
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
