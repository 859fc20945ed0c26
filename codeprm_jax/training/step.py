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

from codeprm_jax.model import decoder, lora
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
      params: nested dict of float32 arrays: what is trained. Parameters that adapters freeze stand
        beside the state and have no gradient, no moments and no place in checkpoints.
      opt_state: optax state.
      rng: key data, uint32[2]; the adapters' dropout of a step is drawn from it and the step.
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
            b2=config.adam_b2,
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


def batch_loss(
    params: decoder.Params,
    frozen: decoder.Params,
    batch: Batch,
    model: ModelConfig,
    loss: str,
    dropout_key: jax.Array | None = None,
) -> jax.Array:
    """Mean loss over the scored steps of the global batch, weighted; float32 scalar.

    Args:
      params, frozen: what is trained and what is not; one of `lora.divide`'s halves each.
    """
    logits = decoder.apply(
        model,
        lora.join(frozen, params),
        batch["tokens"],
        batch["segment_ids"],
        batch["positions"],
        dropout_key,
        derived=True,
    )
    weighted = batch["weights"] * step_losses(logits, batch["targets"], loss)
    return weighted.sum() / jnp.maximum(batch["weights"].sum(), 1e-6)


def params_shardings(mesh: Mesh, model: ModelConfig) -> decoder.Params:
    """A NamedSharding for each parameter of the model."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: named_sharding(mesh, decoder.logical_axes(path_names(path)), leaf.shape),
        jax.eval_shape(lambda: decoder.create(model, 0)),
    )


def state_shardings(
    mesh: Mesh, model: ModelConfig, optimizer: optax.GradientTransformation
) -> TrainState:
    """A TrainState of NamedShardings.

    The optimizer's moments mirror the parameters: without an explicit sharding `jax.jit` would
    replicate them on every device.
    """
    params, _ = lora.divide(model, params_shardings(mesh, model))
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

    abstract = jax.eval_shape(lambda: _new_state(model, optimizer, 0, {}))
    opt_state = jax.tree_util.tree_map_with_path(moment, abstract.opt_state)
    whole = replicated(mesh)
    return TrainState(step=whole, params=params, opt_state=opt_state, rng=whole)


def abstract_state(
    mesh: Mesh, model: ModelConfig, optimizer: optax.GradientTransformation
) -> TrainState:
    """A TrainState of ShapeDtypeStructs with shardings, as a restore needs it."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(lambda: _new_state(model, optimizer, 0, {})),
        state_shardings(mesh, model, optimizer),
    )


def init_state(
    mesh: Mesh,
    model: ModelConfig,
    optimizer: optax.GradientTransformation,
    seed: int,
    weights: decoder.Params | None = None,
) -> TrainState:
    """The first state, made in its place on the mesh; independent of the mesh's shape.

    Args:
      weights: trained parameters to start from, on the mesh; those that are not in it are drawn.
    """
    shardings = state_shardings(mesh, model, optimizer)
    with jax.set_mesh(mesh):
        make = jax.jit(
            lambda given: _new_state(model, optimizer, seed, given), out_shardings=shardings
        )
        return make(weights or {})


def make_train_step(
    mesh: Mesh,
    model: ModelConfig,
    config: TrainingConfig,
    optimizer: optax.GradientTransformation,
) -> Callable[[TrainState, decoder.Params, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """The jitted step: (state, frozen, batch) -> (state, metrics); the old state is donated.

    Call it under `jax.set_mesh(mesh)`. `frozen` is an empty dict unless adapters are trained.
    Metrics are float32 scalars: loss, grad_norm, and steps (the number of scored steps in the
    batch).
    """

    def step(
        state: TrainState, frozen: decoder.Params, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = None
        if model.lora.rank and model.lora.dropout:
            key = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
        loss, gradients = jax.value_and_grad(batch_loss)(
            state.params, frozen, batch, model, config.loss, key
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": loss,
            "grad_norm": optax.tree.norm(gradients),
            "steps": (batch["weights"] > 0).sum().astype(jnp.float32),
        }
        return TrainState(state.step + 1, params, opt_state, state.rng), metrics

    shardings = state_shardings(mesh, model, optimizer)
    _, frozen_shardings = lora.divide(model, params_shardings(mesh, model))
    return jax.jit(
        step,
        in_shardings=(shardings, frozen_shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def put_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Places a host batch on the mesh."""
    return jax.device_put(dict(batch), batch_sharding(mesh))


def _new_state(
    model: ModelConfig,
    optimizer: optax.GradientTransformation,
    seed: int,
    given: decoder.Params,
) -> TrainState:
    params, _ = lora.divide(model, decoder.create(model, seed))
    params = _overlay(params, given)
    rng = jax.random.key_data(jax.random.key(seed))
    return TrainState(jnp.int32(0), params, optimizer.init(params), rng)


def _overlay(params: decoder.Params, given: decoder.Params) -> decoder.Params:
    """`params` with the leaves of `given` in their places."""
    return params | {
        name: _overlay(params[name], value) if isinstance(value, dict) else value
        for name, value in given.items()
    }


def _decayed(params: decoder.Params) -> Any:
    matrices = ("kernel", "embedding", *lora.ADAPTER)
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path_names(path)[-1] in matrices, params
    )


def path_names(path: Any) -> tuple[str, ...]:
    """The dict keys of a tree path; positions in tuples are passed over."""
    return tuple(str(k.key) for k in path if isinstance(k, jax.tree_util.DictKey))
