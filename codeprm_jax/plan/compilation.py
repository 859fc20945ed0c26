"""The real programs of a preset, compiled ahead of time for devices that are not there."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from codeprm_jax.files import RunError
from codeprm_jax.model import attention, lora
from codeprm_jax.model.attention_splash import kernel_flops
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.plan.hlo import HloError, parse
from codeprm_jax.plan.topology import quiet_stderr
from codeprm_jax.plan.work import Work, count
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.model_directory import abstract_params
from codeprm_jax.training.step import (
    abstract_batch,
    abstract_state,
    check_batch_rows,
    make_optimizer,
    make_train_step,
    path_names,
)
from codeprm_jax.training.validation import make_forward

# Steps of the schedule; its length changes no shape.
_STEPS = 1000
_SCORED = ("tokens", "segment_ids", "positions")
_PAIRS = 64  # sibling pairs of a row, where the loss compares them; the data decide how many
# "40.16G" in XLA's message is GiB.
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"\(?([\d.]+)([KMGT]?)\)?"


class PlanError(RunError):
    """The program could not be compiled or understood, for another reason than memory."""


@dataclass(frozen=True)
class Memory:
    """Bytes of HBM of one device.

    Attributes:
      peak: all that the program needs at once.
      limit: the HBM; where the program does not fit, what of it the compiler may use.
      arguments: parameters, optimizer state and batch.
      outputs: results that do not take an argument's place.
      temporaries: activations, gradients and buffers.
      code: the program itself.

    Where the program does not fit, the compiler says what it needs in all and nothing more: then
    arguments are known from their shapes, outputs and code are 0, and temporaries are the rest.
    """

    peak: int
    limit: int
    arguments: int
    outputs: int
    temporaries: int
    code: int

    @property
    def fits(self) -> bool:
        """Whether the program can be loaded."""
        return self.peak <= self.limit


@dataclass(frozen=True)
class Compiled:
    """A compiled program: what it needs and what it does, on one device."""

    memory: Memory
    work: Work


def compile_training(config: TrainConfig, mesh: Mesh, hbm_bytes: int) -> Compiled:
    """The training step on devices with this much HBM each.

    Raises InputError where the mesh does not suit, or PlanError.
    """
    check_batch_rows(mesh, config.training.batch_rows, config.training.accumulate)
    attention.check_config(config.model, mesh, packed=True)
    model, optimizer = config.model, make_optimizer(config.training, _STEPS)
    frozen = lora.divide(model, _stored_params(model, mesh))[1]
    step = make_train_step(mesh, model, config.training, optimizer)
    state = abstract_state(mesh, model, optimizer, bool(config.training.ema_decay))
    pairs = _PAIRS if config.training.loss == "pairwise" else 0
    batch = abstract_batch(mesh, config.training.batch_rows, config.data.row_tokens, pairs)
    return _compile(step, (state, frozen, batch), mesh, model, hbm_bytes)


def compile_scoring(config: TrainConfig, mesh: Mesh, hbm_bytes: int) -> Compiled:
    """The scorer's forward pass on rows of one example each, parameters in the compute dtype.

    Raises InputError where the mesh does not suit, or PlanError.
    """
    check_batch_rows(mesh, config.training.batch_rows)
    attention.check_config(config.model, mesh, packed=False)
    model = config.model
    params = _stored_params(model, mesh)
    batch = abstract_batch(mesh, config.training.batch_rows, config.data.row_tokens)
    forward = make_forward(model, packed=False)
    arguments = (params, *(batch[name] for name in _SCORED))
    return _compile(forward, arguments, mesh, model, hbm_bytes)


def _stored_params(model: ModelConfig, mesh: Mesh) -> Any:
    """All parameters in the dtypes in which a frozen or a scoring model keeps them."""

    def stored(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        names = path_names(path)
        dtype = jnp.float32 if names[0] == "score" else lora.frozen_dtype(model, names)
        return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=leaf.sharding)

    return jax.tree_util.tree_map_with_path(stored, abstract_params(model, mesh))


def _compile(
    function: Any, arguments: tuple[Any, ...], mesh: Mesh, model: ModelConfig, hbm_bytes: int
) -> Compiled:
    with tempfile.TemporaryDirectory(prefix="codeprm-plan-") as folder, jax.set_mesh(mesh):
        # The program as text comes from the compiler's own dump: for some TPUs (v5p) the one of
        # jax.stages.Compiled.as_text() does not survive its way through a protocol buffer.
        options = {"xla_dump_to": folder, "xla_dump_hlo_as_text": True}
        lowered = function.lower(*arguments)
        try:
            with quiet_stderr(), _no_cache():
                compiled = lowered.compile(compiler_options=options)
        except jax.errors.JaxRuntimeError as error:
            memory = out_of_memory(str(error), _bytes_per_device(arguments))
            if memory is None:
                raise PlanError(f"the compiler failed: {str(error).splitlines()[0]}") from error
        else:
            memory = _memory(compiled.memory_analysis(), hbm_bytes)
        try:
            work = count(
                parse(_optimised(Path(folder))),
                mesh.size,
                lambda name, query: kernel_flops(name, query, model.sliding_window),
            )
        except HloError as error:
            raise PlanError(
                f"the compiled program is not understood: {error}; this version was made for the "
                "programs of libtpu 0.0.52"
            ) from error
    return Compiled(memory, work)


@contextlib.contextmanager
def _no_cache() -> Iterator[None]:
    """A program from JAX's compilation cache would leave no text."""
    cached = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)


def out_of_memory(message: str, arguments: int) -> Memory | None:
    """What the compiler's message says of memory; None where it is about something else.

    Args:
      arguments: bytes of the arguments on one device.
    """
    if "memory" not in message or "hbm" not in message.lower():
        return None
    used = re.search(rf"(?:Used|temporaries) {_SIZE}", message)
    limit = re.search(rf"(?:exceeds available HBM|Used \S+ of) {_SIZE}", message)
    if used is None or limit is None:
        return None
    peak, available = (int(float(m[1]) * _UNITS[m[2]]) for m in (used, limit))
    return Memory(peak, available, arguments, 0, max(0, peak - arguments), 0)


def _memory(stats: Any, limit: int) -> Memory:
    parts = (
        stats.argument_size_in_bytes,
        stats.output_size_in_bytes - stats.alias_size_in_bytes,
        stats.temp_size_in_bytes,
        stats.generated_code_size_in_bytes,
    )
    return Memory(sum(parts), limit, *parts)


def _bytes_per_device(arguments: Any) -> int:
    return sum(
        leaf.dtype.itemsize * math.prod(leaf.sharding.shard_shape(leaf.shape))
        for leaf in jax.tree.leaves(arguments)
    )


def _optimised(folder: Path) -> str:
    """The text of the program after all passes: the largest, beside those of small helpers."""
    found = [*folder.glob("*after_optimizations.txt")]
    if not found:
        raise PlanError("the compiler left no text of its program; is libtpu 0.0.40 or newer?")
    return max(found, key=lambda path: path.stat().st_size).read_text()
