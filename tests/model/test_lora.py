"""Adapters: nothing at first, folded in without a trace, and nothing frozen in the optimizer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder, lora
from codeprm_jax.model.config import PROJECTIONS, LoraConfig, ModelConfig
from codeprm_jax.model.shapes import QWEN25_CODER
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.training.config import TrainingConfig
from codeprm_jax.training.step import (
    init_state,
    make_optimizer,
    make_train_step,
    params_shardings,
    path_names,
    put_batch,
)
from tests.conftest import TINY, random_tokens
from tests.training.test_step import batch

ADAPTED = replace(TINY, lora=LoraConfig(rank=4, alpha=8.0, dropout=0.0))
EVERYWHERE = replace(TINY, lora=LoraConfig(rank=3, alpha=5.0, dropout=0.0, targets=PROJECTIONS))
CONFIG = TrainingConfig(learning_rate=1e-2, batch_rows=8)


def logits(config: ModelConfig, params: decoder.Params, key: Any = None) -> np.ndarray:
    tokens = random_tokens(np.random.default_rng(0), 2, 40)
    at = np.tile(np.arange(40, dtype=np.int32), (2, 1))
    return np.asarray(
        jax.jit(partial(decoder.apply, config))(params, tokens, np.ones_like(at), at, key)
    )


def with_adapters(config: ModelConfig, seed: int = 0) -> decoder.Params:
    """Parameters whose adapters do something: their second halves start at zero."""
    params = jax.jit(lambda: decoder.create(config, seed))()

    def fill(path: Any, leaf: jax.Array) -> jax.Array:
        key = jax.random.key(abs(hash(path_names(path))) % 1000)
        return jax.random.normal(key, leaf.shape) * 0.1 if path[-1].key == "lora_b" else leaf

    return jax.tree_util.tree_map_with_path(fill, params)


@pytest.mark.parametrize("config", [ADAPTED, EVERYWHERE])
def test_a_new_adapter_changes_nothing(config: ModelConfig) -> None:
    params = jax.jit(lambda: decoder.create(config, 0))()
    _, frozen = lora.divide(config, params)
    base = lora.join(frozen, {"score": params["score"]})
    np.testing.assert_array_equal(logits(config, params), logits(TINY, base))


@pytest.mark.parametrize("config", [ADAPTED, EVERYWHERE])
def test_merged_is_unmerged(config: ModelConfig) -> None:
    params = with_adapters(config)
    merged_config, merged = lora.merge(config, params)
    assert merged_config == TINY
    assert not {n for path in leaves(merged) for n in path} & set(lora.ADAPTER)
    before, after = logits(config, params), logits(merged_config, merged)
    assert np.abs(before - after).max() < 1e-5
    _, frozen = lora.divide(config, params)
    base = logits(TINY, lora.join(frozen, {"score": params["score"]}))
    assert np.abs(before - base).max() > 1e-3


def leaves(tree: decoder.Params) -> dict[tuple[str, ...], Any]:
    return {path_names(p): leaf for p, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def test_division_loses_nothing() -> None:
    params = with_adapters(EVERYWHERE)
    trained, frozen = lora.divide(EVERYWHERE, params)
    assert not leaves(trained).keys() & leaves(frozen).keys()
    joined = lora.join(trained, frozen)
    assert leaves(joined).keys() == leaves(params).keys()
    assert {path[-1] for path in leaves(trained) if path[0] == "layers"} == set(lora.ADAPTER)
    with pytest.raises(ValueError, match="both trees"):
        lora.join(params, frozen)
    everything, nothing = lora.divide(TINY, params)
    assert nothing == {} and leaves(everything).keys() == leaves(params).keys()


@pytest.mark.parametrize("config", [TINY, ADAPTED, EVERYWHERE])
def test_counts_are_those_of_the_arrays(config: ModelConfig) -> None:
    abstract = jax.eval_shape(lambda: decoder.create(config, 0))
    trained, _ = lora.divide(config, abstract)
    assert sum(x.size for x in jax.tree.leaves(abstract)) == config.num_params()
    assert sum(x.size for x in jax.tree.leaves(trained)) == config.num_trainable_params()


def test_a_frozen_base_costs_no_optimizer_memory() -> None:
    """From shapes, at the size that matters: 7 billion parameters under the paper's adapter."""
    big = replace(QWEN25_CODER["7B"], lora=LoraConfig(rank=8))
    optimizer = make_optimizer(CONFIG, 10)

    def state() -> Any:
        trained, _ = lora.divide(big, decoder.create(big, 0))
        return trained, optimizer.init(trained)

    trained, opt_state = jax.eval_shape(state)
    count = sum(x.size for x in jax.tree.leaves(trained))
    # q: 3584 -> 3584, v: 3584 -> 512, rank 8, 28 layers, and the value head.
    assert count == 28 * 8 * (3584 + 3584 + 3584 + 512) + 3584
    moments = sum(x.size for x in jax.tree.leaves(opt_state) if x.ndim)
    assert moments == 2 * count


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 2)])
def test_training_moves_adapters_and_head_only(shape: tuple[int, int, int]) -> None:
    losses, trained, frozen, start = run(ADAPTED, shape)
    assert losses[-1] < losses[0]
    for path, leaf in leaves(start).items():
        moved = np.abs(leaf - leaves(trained)[path]).max()
        assert moved > 0, path
    # The frozen half is no argument that the step may change: its buffers are the caller's still.
    assert all(not leaf.is_deleted() for leaf in jax.tree.leaves(frozen))


def run(
    config: ModelConfig, shape: tuple[int, int, int], steps: int = 4
) -> tuple[list[float], Any, Any, Any]:
    mesh = make_mesh(MeshConfig(*shape), jax.devices()[: int(np.prod(shape))])
    optimizer = make_optimizer(CONFIG, 10)
    params = jax.jit(lambda: decoder.create(config, 0))()
    _, shardings = lora.divide(config, params_shardings(mesh, config))
    frozen = jax.tree.map(jax.device_put, lora.divide(config, params)[1], shardings)
    state = init_state(mesh, config, optimizer, seed=0)
    start = jax.device_get(state.params)
    step = make_train_step(mesh, config, CONFIG, optimizer)
    losses = []
    with jax.set_mesh(mesh):
        for _ in range(steps):
            state, metrics = step(state, frozen, put_batch(mesh, batch(0)))
            losses.append(float(metrics["loss"]))
    return losses, jax.device_get(state.params), frozen, start


def test_every_mesh_trains_the_same_adapters_under_dropout() -> None:
    """The dropped inputs are drawn from the step, not from where they lie."""
    config = replace(ADAPTED, lora=replace(ADAPTED.lora, dropout=0.3))
    reference = run(config, (1, 1, 1))[0]
    np.testing.assert_allclose(run(config, (2, 2, 2))[0], reference, rtol=1e-5)
    without = run(ADAPTED, (1, 1, 1))[0]
    assert abs(reference[-1] - without[-1]) > 1e-6


def test_dropout_is_inverted_and_only_with_a_key() -> None:
    config = replace(EVERYWHERE, lora=replace(EVERYWHERE.lora, dropout=0.4))
    params = with_adapters(config)
    np.testing.assert_array_equal(logits(config, params), logits(EVERYWHERE, params))
    layer = decoder.Linear("q_proj", config, nnx_rngs())
    layer.kernel[...] = jnp.zeros_like(layer.kernel[...])
    layer.lora_b[...] = jnp.ones_like(layer.lora_b[...])
    x = jnp.ones((1, 4000, config.hidden_size))
    dropped = layer(x, jax.random.key(1))
    kept = layer(x)
    assert jnp.abs(dropped.mean() - kept.mean()) < 0.05 * jnp.abs(kept).max()
    assert jnp.std(dropped) > 10 * jnp.std(kept)


def nnx_rngs() -> Any:
    from flax import nnx

    return nnx.Rngs(0)


def test_a_frozen_matrix_in_the_compute_dtype_gives_the_same() -> None:
    config = replace(ADAPTED, dtype="bfloat16")
    params = with_adapters(config)
    trained, frozen = lora.divide(config, params)
    kept = jax.tree_util.tree_map_with_path(
        lambda p, leaf: leaf.astype(lora.frozen_dtype(config, path_names(p))), frozen
    )
    assert leaves(kept)["layers", "mlp", "up_proj", "kernel"].dtype == jnp.bfloat16
    assert leaves(kept)["norm", "scale"].dtype == jnp.float32
    np.testing.assert_array_equal(logits(config, lora.join(trained, kept)), logits(config, params))


def test_flops_count_what_is_learned() -> None:
    full, adapted = TINY.flops_per_token(256), ADAPTED.flops_per_token(256)
    extra = ADAPTED.num_params() - TINY.num_params()
    multiplied = TINY.num_params() - TINY.vocab_size * TINY.hidden_size
    head = TINY.hidden_size
    # No gradient of a frozen matrix: 2 of its 6 are saved; the adapters' own cost 6.
    assert adapted == full - 2 * (multiplied - head) + 6 * extra
    windowed = replace(TINY, sliding_window=16)
    attention = 12 * TINY.num_layers * TINY.num_heads * TINY.head_dim
    assert full - windowed.flops_per_token(256) == attention * (128 - 16)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rank": -1}, "rank"),
        ({"rank": 4, "dropout": 1.0}, "dropout"),
        ({"rank": 4, "targets": ("q_proj", "lm_head")}, "lm_head"),
        ({"rank": 4, "targets": ()}, "empty"),
    ],
)
def test_impossible_adapters_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        LoraConfig(**options)
