"""Invariant 4: one device and eight fake ones on any mesh give the same loss; golden shardings."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.sharding import MeshConfig, make_mesh, partition_spec
from codeprm_jax.training.config import TrainingConfig
from codeprm_jax.training.step import (
    batch_loss,
    init_state,
    learning_rate_schedule,
    make_optimizer,
    make_train_step,
    pair_losses,
    path_names,
    put_batch,
    state_shardings,
    step_losses,
)
from tests.conftest import TINY, random_tokens, tiny_params

CONFIG = TrainingConfig(learning_rate=1e-2, batch_rows=8)


def batch(seed: int, rows: int = 8, length: int = 48) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    segments = np.repeat([[1, 2, 0]], [20, 20, length - 40], axis=1).repeat(rows, 0)
    positions = np.concatenate([np.arange(20), np.arange(20), np.arange(length - 40)])
    weights = (rng.random((rows, length)) < 0.15) * (segments > 0)
    return {
        "tokens": random_tokens(rng, rows, length),
        "segment_ids": segments.astype(np.int32),
        "positions": np.tile(positions, (rows, 1)).astype(np.int32),
        "targets": (rng.random((rows, length)) * weights).astype(np.float32),
        "weights": weights.astype(np.float32),
    }


@dataclass(frozen=True)
class Run:
    """Three steps: their losses, the states before and after each, and the compiled program."""

    losses: list[float]
    states: list[Any]
    program: str

    @property
    def state(self) -> Any:
        return self.states[-1]


def run(shape: tuple[int, int, int], config: TrainingConfig = CONFIG) -> Run:
    count = int(np.prod(shape))
    mesh = make_mesh(MeshConfig(*shape), jax.devices()[:count])
    optimizer = make_optimizer(config, 10)
    state = init_state(mesh, TINY, optimizer, seed=0, ema=bool(config.ema_decay))
    step: Any = make_train_step(mesh, TINY, config, optimizer)
    losses, states = [], [jax.device_get(state)]
    with jax.set_mesh(mesh):
        placed = put_batch(mesh, batch(0), stop=False)
        compiled = step.lower(state, {}, placed).compile()
        for _ in range(3):
            state, metrics = compiled(state, {}, put_batch(mesh, batch(0), stop=False))
            losses.append(float(metrics["loss"]))
            states.append(jax.device_get(state))
    return Run(losses, states, compiled.as_text())


@pytest.fixture(scope="module")
def one_device() -> Run:
    return run((1, 1, 1))


def assert_close(ours: Any, theirs: Any, atol: float = 2e-4) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), ours, theirs)


@pytest.mark.parametrize(("shape", "parts"), [((1, 1, 1), 4), ((1, 1, 1), 8), ((2, 1, 2), 2)])
def test_accumulated_parts_are_the_whole_batch(
    shape: tuple[int, int, int], parts: int, one_device: Run
) -> None:
    """The parts hold different numbers of scored steps: a mean of their means would be another."""
    counts = [(batch(0)["weights"][n::parts] > 0).sum() for n in range(parts)]
    assert len(set(counts)) > 1
    found = run(shape, replace(CONFIG, accumulate=parts))
    np.testing.assert_allclose(found.losses, one_device.losses, rtol=1e-5)
    assert_close(found.state.params, one_device.state.params)


def test_the_moving_average_is_one(one_device: Run) -> None:
    found = run((1, 1, 1), replace(CONFIG, ema_decay=0.75))
    np.testing.assert_allclose(found.losses, one_device.losses, rtol=1e-6)  # nothing learns from it
    assert_close(found.state.params, one_device.state.params, 1e-6)
    average, *trail = (state.params for state in one_device.states)
    for params in trail:
        average = jax.tree.map(lambda a, p: 0.75 * a + 0.25 * p, average, params)
    assert_close(found.state.ema, average, 1e-6)
    assert found.state.scored is found.state.ema
    assert one_device.state.scored is one_device.state.params


def test_a_stop_of_one_device_is_seen_by_all() -> None:
    mesh = make_mesh(MeshConfig(2, 2, 2))
    optimizer = make_optimizer(CONFIG, 10)
    step = make_train_step(mesh, TINY, CONFIG, optimizer)
    with jax.set_mesh(mesh):
        for asked in (False, True):
            placed = put_batch(mesh, batch(0), stop=False)
            flags = np.zeros(8, bool)
            flags[5] = asked
            placed["stop"] = jax.device_put(flags, placed["stop"].sharding)
            _, metrics = step(init_state(mesh, TINY, optimizer, 0), {}, placed)
            assert bool(metrics["stop"]) == asked


def test_golden_shardings_of_parameters_and_moments() -> None:
    mesh = make_mesh(MeshConfig(2, 2, 2))
    shardings = state_shardings(mesh, TINY, make_optimizer(CONFIG, 10))
    flat = jax.tree_util.tree_flatten_with_path(shardings.params)[0]
    specs = {".".join(path_names(path)): s.spec for path, s in flat}
    assert specs == {
        "embed_tokens.embedding": PartitionSpec(None, ("tensor", "fsdp")),
        "layers.input_layernorm.scale": PartitionSpec(None, None),
        "layers.mlp.down_proj.kernel": PartitionSpec(None, "tensor", "fsdp"),
        "layers.mlp.gate_proj.kernel": PartitionSpec(None, "fsdp", "tensor"),
        "layers.mlp.up_proj.kernel": PartitionSpec(None, "fsdp", "tensor"),
        "layers.post_attention_layernorm.scale": PartitionSpec(None, None),
        "layers.self_attn.k_proj.bias": PartitionSpec(None, "tensor"),
        "layers.self_attn.k_proj.kernel": PartitionSpec(None, "fsdp", "tensor"),
        "layers.self_attn.o_proj.kernel": PartitionSpec(None, "tensor", "fsdp"),
        "layers.self_attn.q_proj.bias": PartitionSpec(None, "tensor"),
        "layers.self_attn.q_proj.kernel": PartitionSpec(None, "fsdp", "tensor"),
        "layers.self_attn.v_proj.bias": PartitionSpec(None, "tensor"),
        "layers.self_attn.v_proj.kernel": PartitionSpec(None, "fsdp", "tensor"),
        "norm.scale": PartitionSpec(None),
        "score.out.kernel": PartitionSpec("fsdp", None),
    }
    moments = Counter()
    for path, sharding in jax.tree_util.tree_flatten_with_path(shardings.opt_state)[0]:
        name = ".".join(path_names(path))
        if name in specs:
            moments[name] += 1
            assert sharding.spec == specs[name]
    assert moments == dict.fromkeys(specs, 2)  # first and second moment of every parameter


def test_state_really_is_sharded() -> None:
    mesh = make_mesh(MeshConfig(1, 8, 1))
    state = init_state(mesh, TINY, make_optimizer(CONFIG, 10), 0)
    for tree in (state.params, state.opt_state):
        kernels = [
            leaf
            for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
            if path_names(path)[-1:] == ("kernel",)
        ]
        assert kernels
        for leaf in kernels:
            assert leaf.addressable_shards[0].data.size * 8 == leaf.size


def collectives(program: str) -> Counter[str]:
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    return Counter(re.findall(rf"= .*? ({kinds})(?:-start)?\(", program))


# Of the program, a layer's counted once. Each matrix of the layer is gathered in the forward and,
# but for one, in the backward pass; (1, 1, 8) also moves heads, which eight devices do not divide.
# Scalars (loss, norm of the gradient, steps, whether a process asks to stop) share all-reduces.
COLLECTIVES = {
    (1, 1, 1): {},
    (8, 1, 1): {"all-reduce": 4},
    (1, 8, 1): {"all-gather": 16, "all-reduce": 5, "all-to-all": 2},
    (2, 2, 2): {"all-gather": 17, "all-reduce": 18, "all-to-all": 2, "collective-permute": 2},
    (1, 4, 2): {"all-gather": 17, "all-reduce": 13, "all-to-all": 2},
    (1, 1, 8): {"all-gather": 8, "all-reduce": 8, "all-to-all": 10, "collective-permute": 12},
}


@pytest.mark.parametrize("shape", COLLECTIVES)
def test_every_mesh_gives_the_loss_of_one_device_with_no_surprise(
    shape: tuple[int, int, int], one_device: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """By exactly these collectives, and the partitioner never gives up.

    Replicas only reduce gradients. Shards gather tokens and matrices, not the embedding table, and
    exchange embeddings once forward and once backward.
    """
    jax.config.update("jax_enable_compilation_cache", False)  # what is cached warns of nothing
    try:
        found = run(shape)
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert "rematerialization" not in capfd.readouterr().err
    assert collectives(found.program) == Counter(COLLECTIVES[shape])
    np.testing.assert_allclose(found.losses, one_device.losses, rtol=1e-5)
    assert_close(found.state.params, one_device.state.params)
    assert found.losses[-1] < found.losses[0]


def test_losses_are_the_formulas() -> None:
    logits = np.array([-2.0, 0.0, 3.0], np.float32)
    targets = np.array([0.2, 0.5, 1.0], np.float32)
    sigma = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(step_losses(logits, targets, "mse"), (sigma - targets) ** 2, 1e-5)
    bce = -targets * np.log(sigma) - (1 - targets) * np.log(1 - sigma)
    np.testing.assert_allclose(step_losses(logits, targets, "bce"), bce, 1e-5)


def test_pairwise_loss_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 9)).astype(np.float32)
    pairs = np.array([[[1, 4], [8, 2], [0, 0]], [[3, 3], [5, 0], [2, 7]]], np.int32)
    expected = [
        [-np.log(1 / (1 + np.exp(-(row[b] - row[w])))) for b, w in found]
        for row, found in zip(logits, pairs, strict=True)
    ]
    np.testing.assert_allclose(pair_losses(logits, pairs), expected, rtol=1e-5)
    data = batch(0, rows=2) | {
        "pairs": pairs,
        "pair_weights": np.array([[1, 0.5, 0], [0, 2, 1]], np.float32),
    }
    params = tiny_params()
    found = batch_loss(params, {}, data, TINY, "pairwise")
    z = decoder.apply(TINY, params, data["tokens"], data["segment_ids"], data["positions"])
    losses = np.asarray(pair_losses(z, pairs))
    total = (losses * data["pair_weights"]).sum() / data["pair_weights"].sum()
    np.testing.assert_allclose(found, total, rtol=1e-5)


def test_only_scored_steps_count_in_the_loss() -> None:
    params = tiny_params()
    loss = jax.jit(lambda p, b: batch_loss(p, {}, b, TINY, "mse"))
    data = batch(0)
    changed = dict(data, targets=np.where(data["weights"] > 0, data["targets"], 9.0))
    assert loss(params, data) == loss(params, changed)


def test_schedule_rises_and_falls() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup_fraction=0.2)
    for name, expected in {
        "linear": [0, 0.5, 1, 0.75, 0.5, 0],
        "cosine": [0, 0.5, 1, 0.854, 0.5, 0],
        "constant": [0, 0.5, 1, 1, 1, 1],
    }.items():
        schedule = learning_rate_schedule(replace(config, schedule=name), 100)
        assert [round(float(schedule(s)), 3) for s in (0, 10, 20, 40, 60, 100)] == expected
    unwarmed = learning_rate_schedule(replace(config, warmup_fraction=0.0), 100)
    assert float(unwarmed(0)) == 1.0


def test_meshes_that_cannot_be_are_refused() -> None:
    assert MeshConfig(-1, 2, 2).shape(8) == (2, 2, 2)
    for bad in (MeshConfig(3, 1, 1), MeshConfig(-1, 3, 1), MeshConfig(-1, -1, 1), MeshConfig(0)):
        with pytest.raises(InputError):
            bad.shape(8)
    mesh = make_mesh(MeshConfig(1, 1, 8))
    assert partition_spec(mesh, ("embed", "heads"), (32, 12)) == PartitionSpec("fsdp", None)
