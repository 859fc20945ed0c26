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

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder, lora
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import (
    batch_divisor,
    batch_sharding,
    device_sharding,
    named_sharding,
    replicated,
)
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
      ema: moving average of the parameters, like them; an empty dict where none is kept.
      opt_state: optax state.
      rng: key data, uint32[2]; the adapters' dropout of a step is drawn from it and the step.
    """

    step: Any
    params: decoder.Params
    ema: decoder.Params
    opt_state: Any
    rng: Any

    @property
    def scored(self) -> decoder.Params:
        """What is evaluated, exported and scored with: the average where there is one."""
        return self.ema or self.params


def learning_rate_schedule(config: TrainingConfig, total_steps: int) -> optax.Schedule:
    """Linear from 0 to the peak, then as the schedule says: to 0 at the last step, or constant."""
    warmup = round(config.warmup_fraction * total_steps)
    rest, peak = max(1, total_steps - warmup), config.learning_rate
    after = {
        "linear": optax.linear_schedule(peak, 0.0, rest),
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "constant": optax.constant_schedule(peak),
    }[config.schedule]
    if warmup == 0:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


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


def pair_losses(logits: jax.Array, pairs: jax.Array) -> jax.Array:
    """-log σ(z_better - z_worse) of each pair (Bradley and Terry 1952), float32[rows, pairs].

    Args:
      logits: float32[rows, length].
      pairs: int32[rows, pairs, 2], positions of the better and of the worse step.
    """
    better, worse = (jnp.take_along_axis(logits, pairs[..., side], axis=1) for side in (0, 1))
    return jax.nn.softplus(worse - better)


def loss_weight(batch: Batch, loss: str) -> jax.Array:
    """What the summed loss of a batch is divided by: the weight of all that counts in it."""
    return jnp.maximum(batch["pair_weights" if loss == "pairwise" else "weights"].sum(), 1e-6)


def batch_loss(
    params: decoder.Params,
    frozen: decoder.Params,
    batch: Batch,
    model: ModelConfig,
    loss: str,
    dropout_key: jax.Array | None = None,
    weight: jax.Array | None = None,
) -> jax.Array:
    """Weighted mean of the loss over the scored steps of the global batch; float32 scalar.

    Args:
      params, frozen: what is trained and what is not; one of `lora.divide`'s halves each.
      weight: `loss_weight` of the whole batch where this is a part of it: the losses of the parts
        then sum to the loss of the whole.
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
    if loss == "pairwise":
        weighted = batch["pair_weights"] * pair_losses(logits, batch["pairs"])
    else:
        weighted = batch["weights"] * step_losses(logits, batch["targets"], loss)
    return weighted.sum() / (loss_weight(batch, loss) if weight is None else weight)


def params_shardings(mesh: Mesh, model: ModelConfig) -> decoder.Params:
    """A NamedSharding for each parameter of the model."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: named_sharding(mesh, decoder.logical_axes(path_names(path)), leaf.shape),
        jax.eval_shape(lambda: decoder.create(model, 0)),
    )


def state_shardings(
    mesh: Mesh, model: ModelConfig, optimizer: optax.GradientTransformation, ema: bool = False
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

    abstract = jax.eval_shape(lambda: _new_state(model, optimizer, 0, {}, ema))
    opt_state = jax.tree_util.tree_map_with_path(moment, abstract.opt_state)
    whole = replicated(mesh)
    return TrainState(whole, params, params if ema else {}, opt_state, whole)


def abstract_state(
    mesh: Mesh, model: ModelConfig, optimizer: optax.GradientTransformation, ema: bool = False
) -> TrainState:
    """A TrainState of ShapeDtypeStructs with shardings, as a restore needs it."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(lambda: _new_state(model, optimizer, 0, {}, ema)),
        state_shardings(mesh, model, optimizer, ema),
    )


def init_state(
    mesh: Mesh,
    model: ModelConfig,
    optimizer: optax.GradientTransformation,
    seed: int,
    weights: decoder.Params | None = None,
    ema: bool = False,
) -> TrainState:
    """The first state, made in its place on the mesh; independent of the mesh's shape.

    Args:
      weights: trained parameters to start from, on the mesh; those that are not in it are drawn.
      ema: whether a moving average of the parameters is kept.
    """
    shardings = state_shardings(mesh, model, optimizer, ema)
    with jax.set_mesh(mesh):
        make = jax.jit(
            lambda given: _new_state(model, optimizer, seed, given, ema), out_shardings=shardings
        )
        return make(weights or {})


def make_train_step(
    mesh: Mesh,
    model: ModelConfig,
    config: TrainingConfig,
    optimizer: optax.GradientTransformation,
) -> Callable[[TrainState, decoder.Params, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """The jitted step: (state, frozen, batch) -> (state, metrics); the old state is donated.

    Call it under `jax.set_mesh(mesh)`. `frozen` is an empty dict unless adapters are trained; a
    batch is described by `abstract_batch`. Metrics are scalars: loss, grad_norm and steps (the
    number of scored steps in the batch) and stop (on how many devices it was asked for), float32.
    """
    shardings = state_shardings(mesh, model, optimizer, bool(config.ema_decay))
    _, frozen_shardings = lora.divide(model, params_shardings(mesh, model))
    gradient = jax.value_and_grad(batch_loss)

    def gradients(
        state: TrainState, frozen: decoder.Params, batch: Batch
    ) -> tuple[jax.Array, decoder.Params]:
        key = None
        if model.lora.drops:
            key = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
        if config.accumulate == 1:
            return gradient(state.params, frozen, batch, model, config.loss, key)
        weight = loss_weight(batch, config.loss)

        def part(total: Any, number_and_batch: Any) -> tuple[Any, None]:
            number, inputs = number_and_batch
            own = None if key is None else jax.random.fold_in(key, number)
            found = gradient(state.params, frozen, inputs, model, config.loss, own, weight)
            total = jax.tree.map(jnp.add, total, found)
            return (total[0], jax.lax.with_sharding_constraint(total[1], shardings.params)), None

        zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.params))
        parts = {name: _parts(x, config.accumulate) for name, x in batch.items()}
        return jax.lax.scan(part, zero, (jnp.arange(config.accumulate), parts))[0]

    def step(
        state: TrainState, frozen: decoder.Params, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        batch = dict(batch)
        stop = batch.pop("stop", jnp.zeros(1, bool))
        loss, found = gradients(state, frozen, batch)
        updates, opt_state = optimizer.update(found, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if config.ema_decay:
            ema = optax.incremental_update(params, ema, 1 - config.ema_decay)
        metrics = {
            "loss": loss,
            "grad_norm": optax.tree.norm(found),
            "steps": (batch["weights"] > 0).sum().astype(jnp.float32),
            # A sum as the others are, so that the compiler can send them together.
            "stop": stop.sum(dtype=jnp.float32),
        }
        return TrainState(state.step + 1, params, ema, opt_state, state.rng), metrics

    return jax.jit(
        step,
        in_shardings=(shardings, frozen_shardings, None),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def abstract_batch(
    mesh: Mesh, batch_rows: int, row_tokens: int, max_pairs: int = 0
) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of the train step as ShapeDtypeStructs with shardings.

    tokens, segment_ids, positions int32[rows, length]; targets, weights float32[rows, length], zero
    except at step tags; with the pairwise loss pairs int32[rows, max_pairs, 2] and pair_weights
    float32[rows, max_pairs]; stop bool[devices], whether a device's process asks to stop.
    """
    rows = (batch_rows, row_tokens)
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "tokens": (rows, np.int32),
        "segment_ids": (rows, np.int32),
        "positions": (rows, np.int32),
        "targets": (rows, np.float32),
        "weights": (rows, np.float32),
    }
    if max_pairs:
        shapes["pairs"] = ((batch_rows, max_pairs, 2), np.int32)
        shapes["pair_weights"] = ((batch_rows, max_pairs), np.float32)
    batch = {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=batch_sharding(mesh))
        for name, (shape, dtype) in shapes.items()
    }
    stop = jax.ShapeDtypeStruct((mesh.size,), np.bool_, sharding=device_sharding(mesh))
    return batch | {"stop": stop}


def check_batch_rows(mesh: Mesh, batch_rows: int, parts: int = 1) -> None:
    """Raises InputError unless the rows of a batch can be split over the mesh, in so many parts."""
    divisor = batch_divisor(mesh) * parts
    if batch_rows % divisor:
        raise InputError(
            f"training.batch_rows ({batch_rows}) must be a multiple of data x fsdp"
            f"{f' x accumulate ({parts})' if parts > 1 else ''} = {divisor}: "
            f"--training.batch-rows {max(divisor, batch_rows - batch_rows % divisor)}"
        )


def local_rows(mesh: Mesh, batch_rows: int) -> list[int]:
    """The rows of a global batch that devices of this process hold, in ascending order."""
    slices = batch_sharding(mesh).addressable_devices_indices_map((batch_rows, 1)).values()
    return sorted({row for index in slices if index for row in range(batch_rows)[index[0]]})


def put_batch(
    mesh: Mesh,
    batch: Mapping[str, np.ndarray],
    batch_rows: int | None = None,
    stop: bool | None = None,
) -> dict[str, jax.Array]:
    """Places a host batch on the mesh, also where transfers are disallowed: this one is meant.

    Args:
      batch: arrays of all rows, or of `local_rows` where `batch_rows` is given.
      batch_rows: rows of the global batch.
      stop: whether this process asks all to stop; a train step needs it, a forward does not.
    """
    sharding = batch_sharding(mesh)

    def place(values: np.ndarray) -> jax.Array:
        count = batch_rows or len(values)
        if len(values) == count:
            return jax.device_put(values, sharding)
        at = {row: number for number, row in enumerate(local_rows(mesh, count))}

        def shard(index: Any) -> np.ndarray:
            return values[[at[row] for row in range(count)[index[0]]]]

        return jax.make_array_from_callback((count, *values.shape[1:]), sharding, shard)

    with jax.transfer_guard_host_to_device("allow"):
        placed = {name: place(values) for name, values in batch.items()}
        if stop is not None:
            placed["stop"] = jax.make_array_from_callback(
                (mesh.size,), device_sharding(mesh), lambda index: np.full(1, stop)
            )
    return placed


def _parts(x: jax.Array, count: int) -> jax.Array:
    """[rows, ...] -> [count, rows / count, ...].

    Every count-th row goes into the same part, so that each device cuts up the rows it has.
    """
    return x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1)


def _new_state(
    model: ModelConfig,
    optimizer: optax.GradientTransformation,
    seed: int,
    given: decoder.Params,
    ema: bool,
) -> TrainState:
    params, _ = lora.divide(model, decoder.create(model, seed))
    params = _overlay(params, given)
    average = jax.tree.map(jnp.copy, params) if ema else {}
    rng = jax.random.key_data(jax.random.key(seed))
    return TrainState(jnp.int32(0), params, average, optimizer.init(params), rng)


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
