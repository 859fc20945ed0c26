"""What a run starts from: its model directory, and the first state with a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.data.tokenizer import Tokenizer, load_tokenizer
from codeprm_jax.distributed import agree
from codeprm_jax.files import InputError, read_json
from codeprm_jax.model import decoder
from codeprm_jax.model.checkpoint import open_checkpoint
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.model.huggingface import same_shape
from codeprm_jax.model.weights import load_head, load_params
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.model_directory import (
    PRM_CONFIG,
    Base,
    load_model_directory,
    open_base,
    save_model_directory,
)
from codeprm_jax.training.step import TrainState, init_state

# Settings that a run may go on with changed: where things are (what is there is compared by its
# fingerprint), over which devices it is spread, what is kept and what is measured.
_FREE = {
    "training.out",
    "checkpoint",
    "data.data_dir",
    "data.tokenizer",
    "mesh.data",
    "mesh.fsdp",
    "mesh.tensor",
    "training.accumulate",
    "training.keep_checkpoints",
    "training.checkpoint_every",
    "training.profile_steps",
    "model.remat",
    "model.attention",
}


def prepare_run(
    run: Path, config: TrainConfig, dataset: int, make_tokenizer: Callable[[], Tokenizer]
) -> tuple[Layout, ModelConfig, Base | None]:
    """The run's layout, model shape and base: made once with a tokenizer, read again on a resume.

    Args:
      dataset: fingerprint of the dataset.
      make_tokenizer: trains one, where no checkpoint has its own.

    Raises:
      InputError: the run was begun with other settings or on other data, or the checkpoint is not
        of the shape that the config says.
    """
    begun = (run / "run.json").is_file()
    agree("run directory", {"begun": begun})
    if begun:
        facts = read_json(run / "run.json")
        if not {"data", "config"} <= facts.keys():
            raise InputError(f"{run / 'run.json'} is damaged: remove it to begin the run anew")
        if facts["data"] != dataset:
            raise InputError(
                f"{run} was begun on another dataset than {config.data.data_dir} holds now; "
                "name another training.out, or remove that folder"
            )
        # Without run.json the model directory is from a start that came to nothing, and made anew.
        directory = load_model_directory(run)
        now, then = _flat(config.to_json()), _flat(facts["config"])
        # What is dropped is drawn for each part of a batch.
        free = _FREE - ({"training.accumulate"} if config.model.lora.drops else set())
        names = sorted((now.keys() | then.keys()) - free)
        if changed := [name for name in names if now.get(name) != then.get(name)]:
            raise InputError(
                f"{run} was begun with other settings ({', '.join(changed)}); "
                "name another training.out, or remove that folder"
            )
        if directory.model is not None:
            model = replace(
                directory.model, remat=config.model.remat, attention=config.model.attention
            )
            return directory.layout, model, _same_base(config.checkpoint, directory.base)
    data = config.data
    own = data.tokenizer or config.checkpoint
    tokenizer = load_tokenizer(own) if own else make_tokenizer()
    settings = (
        LayoutConfig.for_checkpoint(data.views.trained, data.row_tokens, data.step_tag)
        if own
        else LayoutConfig(views=data.views.trained, max_tokens=data.row_tokens)
    )
    layout = Layout(settings, tokenizer)
    model = _checked_shape(config, tokenizer.vocab_size)
    base = Base.of(config.checkpoint) if config.checkpoint else None
    if jax.process_index() == 0:
        save_model_directory(run, model, settings, tokenizer, data.label.target, base)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("model directory")
        if not (run / "model" / PRM_CONFIG).is_file():
            raise InputError(
                f"process {jax.process_index()} does not see {run}, which process 0 has written: "
                "training.out must be on a file system that all hosts share"
            )
    return layout, model, base


def first_state(
    base: Base | None,
    model: ModelConfig,
    optimizer: optax.GradientTransformation,
    seed: int,
    mesh: Mesh,
    ema: bool = False,
) -> TrainState:
    """The state before the first step, from the checkpoint's weights where there is one.

    Raises InputError if that is not the checkpoint with which the run was begun.
    """
    weights: decoder.Params = {}
    if base is not None:
        checkpoint = open_base(base)
        if model.lora.rank == 0:
            weights = load_params(checkpoint, mesh)
        elif checkpoint.head != "none":
            weights = {"score": load_head(checkpoint, mesh)}
    return init_state(mesh, model, optimizer, seed, weights, ema)


def _same_base(named: Path | None, known: Base | None) -> Base | None:
    """The base where it lies now. Raises InputError where another checkpoint is named."""
    if named is None or known is None or not named.is_dir():
        return known
    base = Base.of(named)
    if base.fingerprint != known.fingerprint:
        raise InputError(
            f"{named} is not the checkpoint that training began from, which was {known.path}: its "
            "weights are others"
        )
    return base


def _checked_shape(config: TrainConfig, entries: int) -> ModelConfig:
    """The model's shape for a tokenizer of so many entries, as the checkpoint has it."""
    if config.checkpoint is None:
        return replace(config.model, vocab_size=entries)
    checkpoint = open_checkpoint(config.checkpoint)
    if differing := same_shape(config.model, checkpoint.config):
        raise InputError(
            f"the preset and {config.checkpoint}/config.json differ: {'; '.join(differing)}"
        )
    if checkpoint.head != "none" and checkpoint.config.head != config.model.head:
        raise InputError(
            f"{config.checkpoint} has a score head of the kind {checkpoint.config.head!r}, the "
            f"preset asks for {config.model.head!r}: set model.head"
        )
    if entries > checkpoint.config.vocab_size:
        raise InputError(
            f"the tokenizer has {entries} entries, the embedding table of {config.checkpoint} "
            f"{checkpoint.config.vocab_size}: they do not belong together"
        )
    return config.model


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found |= _flat(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = inner
    return found
