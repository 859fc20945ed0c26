"""A trained model as a directory that other programs load: `codeprm export`.

"hf": a token classifier with two labels that transformers, TRL and vLLM's transformers loader read
without code of ours; "peft": the adapter alone; "orbax": the parameters as they are. Each holds
tokenizer, prm_config.json and a model card, and appears whole or not at all.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from codeprm_jax.data.tokenizer import Tokenizer
from codeprm_jax.files import InputError, read_json, write_whole
from codeprm_jax.model import lora, peft
from codeprm_jax.model.config import Dtype
from codeprm_jax.model.huggingface import CONFIG_FILE
from codeprm_jax.model.weights import MAX_FILE, write_params
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.training.model_card import model_card
from codeprm_jax.training.model_directory import (
    ORBAX_PARAMS,
    LoadedModel,
    chosen_checkpoint,
    kind_of,
    load_model,
    write_prm_config,
)

logger = logging.getLogger(__name__)

Format = Literal["hf", "peft", "orbax"]

_SAMPLES = ("Return the k largest of 1234 numbers.", "def f(x):\n    return x[::-1] != 'a'\n")


def export(
    model: Path,
    out: Path,
    form: Format,
    dtype: Dtype = "float32",
    max_file: int = MAX_FILE,
    evaluation: Path | None = None,
    licence: str = "other",
) -> None:
    """Writes the model in a run or model directory to the new directory `out`.

    The model is spread over all devices, and one tensor at a time is gathered. Every process of a
    multi-host run must call it, on a shared file system.

    Args:
      model: run or model directory; `RUN@best` or `RUN@300` for another checkpoint than the newest.
      dtype: of the written tensors, "hf" only.
      max_file: bytes of one file of tensors, "hf" only.
      evaluation: JSON of `codeprm evaluate --out`, whose figures the model card then quotes.
      licence: named in the model card.

    Raises:
      InputError: no model, a format that cannot hold it, or `out` exists or lies inside the model.
    """
    if form not in get_args(Format):
        raise InputError(f"format {form!r} is none of {', '.join(get_args(Format))}")
    if max_file < 1:
        raise InputError(f"a file of tensors needs at least 1 byte, not {max_file}")
    if not licence.strip() or "\n" in licence:
        raise InputError(f"licence {licence!r} is no name of a licence")
    out = out.resolve()
    if out.exists():
        raise InputError(f"{out} exists; name another directory, or remove it")
    folder, _ = chosen_checkpoint(model)
    kind_of(folder)  # refuses what is no model
    if out.is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies inside {folder}; name a directory beside it")
    facts = _facts(folder, evaluation)
    mesh = make_mesh(MeshConfig(data=1, fsdp=-1))
    loaded = load_model(model, mesh, "float32")
    if form == "peft" and not (loaded.config.lora.rank and loaded.directory.base):
        raise InputError("this model has no adapters, all of it was trained; use format hf")
    if form == "hf":
        config, params = lora.merge(loaded.config, loaded.params)
        loaded = replace(loaded, config=config, params=params)
    unfinished = out.with_name(f".{out.name}.unfinished")
    writes = jax.process_index() == 0
    try:
        if writes:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        _write_weights(unfinished, loaded, form, dtype, max_file, _original(folder, loaded), mesh)
        if writes:
            _write_rest(unfinished, loaded, form, facts, licence)
            os.replace(unfinished, out)
    except BaseException:
        if writes:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("export")


def _write_weights(
    directory: Path,
    loaded: LoadedModel,
    form: Format,
    dtype: Dtype,
    max_file: int,
    original: Mapping[str, Any] | None,
    mesh: Mesh,
) -> None:
    base = loaded.directory.base
    if form == "hf":
        write_params(directory, loaded.config, loaded.params, mesh, original, dtype, max_file)
    elif form == "peft" and base is not None:
        trained, _ = lora.divide(loaded.config, loaded.params)
        trained = multihost_utils.process_allgather(trained, tiled=True)
        if jax.process_index() == 0:
            peft.write_adapter(directory, loaded.config, trained, str(base.path))
    else:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(directory / ORBAX_PARAMS, loaded.params)


def _write_rest(
    directory: Path, loaded: LoadedModel, form: Format, facts: Mapping[str, Any], licence: str
) -> None:
    """Tokenizer, prm_config.json and model card."""
    said = loaded.directory
    said.layout.tokenizer.save(directory)
    model = None
    if form == "orbax":  # in the dtype of its training, not that of this export
        model = replace(loaded.config, dtype=said.model.dtype) if said.model else loaded.config
    write_prm_config(
        directory,
        said.layout.config,
        said.target,
        model,
        said.base if form == "peft" else None,
    )
    with write_whole(directory / "README.md") as file:
        file.write(model_card(loaded, form, facts, licence))
    if form == "hf":
        _compare_tokenizers(directory, said.layout.tokenizer)


def _compare_tokenizers(directory: Path, tokenizer: Tokenizer) -> None:
    """Warns if `AutoTokenizer` makes other tokens of the exported tokenizer than training did."""
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    for text in _SAMPLES:
        ids = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
        if ids != tokenizer.encode([text])[0]:
            logger.warning(
                "transformers' %s reads %r otherwise than in training: read tokenizer.json with "
                "PreTrainedTokenizerFast instead of AutoTokenizer, or scores will differ",
                type(theirs).__name__,
                text,
            )
            return


def _original(model: Path, loaded: LoadedModel) -> dict[str, Any] | None:
    """config.json of the checkpoint that training began from, if it is still there."""
    base = loaded.directory.base
    for folder in [model, *([base.path] if base else [])]:
        if (folder / CONFIG_FILE).is_file():
            return read_json(folder / CONFIG_FILE)
    return None


def _facts(model: Path, evaluation: Path | None) -> Mapping[str, Any]:
    """What the run and its evaluation recorded."""
    facts: dict[str, Any] = {}
    if (model / "run.json").is_file():
        facts["run"] = read_json(model / "run.json")
    if evaluation is not None:
        facts["evaluation"] = read_json(evaluation)
        if not isinstance(facts["evaluation"], dict) or "splits" not in facts["evaluation"]:
            raise InputError(f"{evaluation} is not what `codeprm evaluate --out` writes")
    return facts
