"""One optimisation step: state, loss, and the jitted function with its shardings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import batch_sharding, named_sharding, replicated
from codeprm_jax.training.config import TrainingConfig

Batch = Mapping[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a checkpoint must hold.

    Attributes:
      step: int32[], steps done; also the position in the data.
      params: nested dict of float32 arrays.
      opt_state: optax state.
      rng: key data, uint32[2]; part of the checkpoint, though no step draws from it yet.
    """

    step: Any
    params: decoder.Params
    opt_state: Any
    rng: Any


def learning_rate_schedule(config: TrainingConfig, total_steps: int) -> optax.Schedule:
    """Linear from 0 to the peak, then linear to 0 at the last step."""
    warmup = max(1, round(config.warmup_fraction * total_steps))
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, config.learning_rate, warmup),
            optax.linear_schedule(config.learning_rate, 0.0, max(1, total_steps - warmup)),
        ],
        [warmup],
    )


def make_optimizer(config: TrainingConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW with clipping and the schedule; weight decay on matrices, not on norms and biases."""
    return optax.chain(
        optax.clip_by_global_norm(config.grad_clip),
        optax.adamw(
            learning_rate_schedule(config, total_steps),
            b2=0.98,
            weight_decay=config.weight_decay,
            mask=_decayed,
        ),
    )


def step_losses(logits: jax.Array, targets: jax.Array, loss: str) -> jax.Array:
    """Loss of each position, float32 of the logits' shape.

    "mse": (sigmoid(z) - y)², as in the paper; "bce": -y log σ(z) - (1 - y) log(1 - σ(z)).
    """
    if loss == "mse":
        return (jax.nn.sigmoid(logits) - targets) ** 2
    return optax.sigmoid_binary_cross_entropy(logits, targets)


def batch_loss(params: decoder.Params, batch: Batch, model: ModelConfig, loss: str) -> jax.Array:
    """Mean loss over the scored steps of the global batch, weighted; float32 scalar."""
    logits = decoder.apply(model, params, batch["tokens"], batch["segment_ids"], batch["positions"])
    weighted = batch["weights"] * step_losses(logits, batch["targets"], loss)
    return weighted.sum() / jnp.maximum(batch["weights"].sum(), 1e-6)


def state_shardings(
    mesh: Mesh, model: ModelConfig, optimizer: optax.GradientTransformation
) -> TrainState:
    """A TrainState of NamedShardings.

    The optimizer's moments mirror the parameters: without an explicit sharding `jax.jit` would
    replicate them on every device.
    """
    abstract = jax.eval_shape(lambda: decoder.create(model, 0))
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: named_sharding(mesh, decoder.logical_axes(path_names(path)), leaf.shape),
        abstract,
    )
    by_path = {
        path_names(path): sharding
        for path, sharding in jax.tree_util.tree_flatten_with_path(params)[0]
    }

    def moment(path: Any, leaf: jax.ShapeDtypeStruct) -> Any:
        names = path_names(path)
        for start in range(len(names)):
            if names[start:] in by_path and leaf.ndim:
                return by_path[names[start:]]
        return replicated(mesh)

    opt_state = jax.tree_util.tree_map_with_path(moment, jax.eval_shape(optimizer.init, abstract))
    whole = replicated(mesh)
    return TrainState(step=whole, params=params, opt_state=opt_state, rng=whole)


def init_state(
    mesh: Mesh, model: ModelConfig, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The first state, made in its place on the mesh; independent of the mesh's shape."""

    def make() -> TrainState:
        params = decoder.create(model, seed)
        rng = jax.random.key_data(jax.random.key(seed))
        return TrainState(jnp.int32(0), params, optimizer.init(params), rng)

    with jax.set_mesh(mesh):
        return jax.jit(make, out_shardings=state_shardings(mesh, model, optimizer))()


def make_train_step(
    mesh: Mesh,
    model: ModelConfig,
    config: TrainingConfig,
    optimizer: optax.GradientTransformation,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """The jitted step: (state, batch) -> (state, metrics); the old state's buffers are donated.

    Call it under `jax.set_mesh(mesh)`. Metrics are float32 scalars: loss, grad_norm, and steps (the
    number of scored steps in the batch).
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        loss, gradients = jax.value_and_grad(batch_loss)(state.params, batch, model, config.loss)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": loss,
            "grad_norm": optax.tree.norm(gradients),
            "steps": (batch["weights"] > 0).sum().astype(jnp.float32),
        }
        return TrainState(state.step + 1, params, opt_state, state.rng), metrics

    shardings = state_shardings(mesh, model, optimizer)
    return jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def put_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Places a host batch on the mesh."""
    return jax.device_put(dict(batch), batch_sharding(mesh))


def _decayed(params: decoder.Params) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path_names(path)[-1] in ("kernel", "embedding"), params
    )


def path_names(path: Any) -> tuple[str, ...]:
    """The dict keys of a tree path; positions in tuples are passed over."""
    return tuple(str(k.key) for k in path if isinstance(k, jax.tree_util.DictKey))
