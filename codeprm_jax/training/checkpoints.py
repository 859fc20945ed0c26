"""Checkpoints of a run, and the model directory that belongs to them.

A run directory holds `checkpoints/STEP/` (Orbax: parameters and the rest of the state as two items,
so that a scorer reads the parameters alone) and `model/`: tokenizer and prm_config.json, which says
how the model is shaped and how its input is laid out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import serialization
from jax.sharding import Mesh

from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.data.tokenizer import Tokenizer, load_tokenizer
from codeprm_jax.files import InputError, read_json, write_json
from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import named_sharding
from codeprm_jax.traces.trace import Target
from codeprm_jax.training.step import TrainState, path_names

_FORMAT = 1


class Checkpoints:
    """Saves and restores TrainStates of one run; saving goes on in the background.

    Args:
      run: run directory.
      keep: newest checkpoints kept.
    """

    def __init__(self, run: Path, keep: int) -> None:
        self._manager = ocp.CheckpointManager(
            _folder(run),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
        )

    @property
    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step."""
        return self._manager.latest_step()

    def save(self, state: TrainState, metrics: Mapping[str, float]) -> None:
        """Starts to save; the state may be donated as soon as this returns."""
        rest = {"opt_state": state.opt_state, "rng": state.rng, "step": state.step}
        self._manager.save(
            int(state.step),
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.params),
                # Optax states are tuples; as nested dicts with string keys they restore anywhere.
                training=ocp.args.StandardSave(serialization.to_state_dict(rest)),
                metrics=ocp.args.JsonSave(dict(metrics)),
            ),
        )

    def restore(self, abstract: TrainState) -> TrainState:
        """The newest checkpoint, placed as `abstract` (ShapeDtypeStructs with shardings) says."""
        rest = {"opt_state": abstract.opt_state, "rng": abstract.rng, "step": abstract.step}
        restored = self._manager.restore(
            self._manager.latest_step(),
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(abstract.params),
                training=ocp.args.StandardRestore(serialization.to_state_dict(rest)),
            ),
        )
        rest = serialization.from_state_dict(rest, restored["training"])
        return TrainState(rest["step"], restored["params"], rest["opt_state"], rest["rng"])

    def close(self) -> None:
        """Waits for what is being saved."""
        self._manager.wait_until_finished()
        self._manager.close()


@dataclass(frozen=True)
class ModelDirectory:
    """What a model directory says: shape, input layout, and what a score estimates."""

    config: ModelConfig
    layout: Layout
    target: Target


@dataclass(frozen=True)
class LoadedModel:
    """A model as a scorer needs it: its directory, and the parameters after `step` steps."""

    directory: ModelDirectory
    params: decoder.Params
    step: int


def save_model_directory(
    run: Path, model: ModelConfig, layout: LayoutConfig, tokenizer: Tokenizer, target: Target
) -> None:
    """Writes `run/model`: tokenizer and prm_config.json."""
    directory = Path(run) / "model"
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(directory)
    config = {
        "format": _FORMAT,
        "target": target,
        "model": model.to_json(),
        "layout": layout.to_json(),
    }
    write_json(directory / "prm_config.json", config)


def load_model_directory(run: Path | str) -> ModelDirectory:
    """Shape, tokenizer, layout and target of the model in a run directory.

    Raises InputError where there is none, or one of another format.
    """
    directory = Path(run) / "model"
    if not (directory / "prm_config.json").is_file():
        raise InputError(f"{run} is no run directory: {directory}/prm_config.json is missing")
    config = read_json(directory / "prm_config.json")
    if config.get("format") != _FORMAT:
        raise InputError(f"{directory}: format {config.get('format')!r}, expected {_FORMAT}")
    layout = Layout(LayoutConfig.from_json(config["layout"]), load_tokenizer(directory))
    return ModelDirectory(ModelConfig.from_json(config["model"]), layout, config["target"])


def load_model(run: Path | str, mesh: Mesh) -> LoadedModel:
    """The newest checkpoint's parameters, sharded over `mesh`, with model directory.

    Raises InputError if `run` is no run directory or has no complete checkpoint.
    """
    directory = load_model_directory(run)
    abstract = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jax.ShapeDtypeStruct(
            leaf.shape,
            leaf.dtype,
            sharding=named_sharding(mesh, decoder.logical_axes(path_names(path)), leaf.shape),
        ),
        jax.eval_shape(lambda: decoder.create(directory.config, 0)),
    )
    if not _folder(Path(run)).is_dir():
        raise InputError(f"{run} has no checkpoints; train it first")
    with ocp.CheckpointManager(_folder(Path(run))) as manager:
        step = manager.latest_step()
        if step is None:
            raise InputError(f"{run} has no complete checkpoint; train it first")
        restored = manager.restore(
            step, args=ocp.args.Composite(params=ocp.args.StandardRestore(abstract))
        )
    return LoadedModel(directory, restored["params"], step)


def _folder(run: Path) -> Path:
    return Path(run).resolve() / "checkpoints"


def abstract_like(tree: Any, shardings: Any) -> Any:
    """ShapeDtypeStructs of `tree` with `shardings`, as a restore needs them."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        tree,
        shardings,
    )
