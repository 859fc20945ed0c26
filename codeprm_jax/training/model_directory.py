"""Model directories: everything that a scorer loads, whoever trained it.

Each holds a tokenizer and prm_config.json, which says how the input is laid out, where the score is
read, and what it estimates, so that a scorer never guesses. The weights may be
- a run directory's newest checkpoint (its `model/` holds the rest), with the checkpoint that it
  adapts where adapters were trained,
- a Hugging Face checkpoint with a score head: an export, or another project's PRM,
- a PEFT adapter over a Hugging Face checkpoint,
- an Orbax export.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.data.tokenizer import Tokenizer, load_tokenizer
from codeprm_jax.files import InputError, read_json, write_json
from codeprm_jax.json_dataclass import read_dataclass
from codeprm_jax.model import decoder, lora, peft
from codeprm_jax.model.checkpoint import Checkpoint, fingerprint, open_checkpoint
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.model.huggingface import CONFIG_FILE
from codeprm_jax.model.weights import load_params
from codeprm_jax.traces.trace import Target
from codeprm_jax.training.checkpoints import Which, restore_params
from codeprm_jax.training.step import params_shardings

PRM_CONFIG = "prm_config.json"
ORBAX_PARAMS = "params"
_FORMAT = 3

Kind = Literal["run", "huggingface", "peft", "orbax"]


@dataclass(frozen=True)
class Base:
    """A checkpoint that training began from: its folder, and what tells it from others."""

    path: Path
    fingerprint: str

    @classmethod
    def of(cls, directory: Path) -> Base:
        """The checkpoint in a folder. Raises InputError if it holds none."""
        return cls(directory.resolve(), fingerprint(open_checkpoint(directory)))


@dataclass(frozen=True)
class _StoredBase:
    path: str
    fingerprint: str


@dataclass(frozen=True)
class _StoredTokens:
    good: str
    bad: str


@dataclass(frozen=True)
class _PrmConfig:
    """The content of prm_config.json."""

    format: int
    target: Target
    layout: LayoutConfig
    model: ModelConfig | None = None
    base: _StoredBase | None = None
    tokens: _StoredTokens | None = None


@dataclass(frozen=True)
class ModelDirectory:
    """What prm_config.json says.

    Attributes:
      path: where it and the tokenizer are.
      layout: text to tokens and step positions.
      target: what a score estimates.
      model: the shape; None where a Hugging Face config.json gives it.
      base: the checkpoint that adapters were trained on, or that training began from.
      tokens: (good, bad) tokens of a language-model head that is read as a score.
    """

    path: Path
    layout: Layout
    target: Target
    model: ModelConfig | None = None
    base: Base | None = None
    tokens: tuple[str, str] | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model as a scorer needs it.

    Attributes:
      config: its shape, with adapters where they stand beside their matrices.
      params: all parameters, sharded over the mesh.
      step: steps of the run that it was trained in, None for other forms.
    """

    directory: ModelDirectory
    config: ModelConfig
    params: decoder.Params
    step: int | None


def write_prm_config(
    directory: Path,
    layout: LayoutConfig,
    target: Target,
    model: ModelConfig | None = None,
    base: Base | None = None,
    tokens: tuple[str, str] | None = None,
) -> None:
    """Writes prm_config.json; the arguments are ModelDirectory's."""
    config = _PrmConfig(
        _FORMAT,
        target,
        layout,
        model,
        _StoredBase(str(base.path), base.fingerprint) if base else None,
        _StoredTokens(*tokens) if tokens else None,
    )
    write_json(directory / PRM_CONFIG, asdict(config))


def save_model_directory(
    run: Path,
    model: ModelConfig,
    layout: LayoutConfig,
    tokenizer: Tokenizer,
    target: Target,
    base: Base | None = None,
) -> None:
    """Writes `run/model`: tokenizer and prm_config.json."""
    directory = Path(run) / "model"
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(directory)
    write_prm_config(directory, layout, target, model, base)


def load_model_directory(path: Path | str) -> ModelDirectory:
    """What the prm_config.json of a run or model directory says, with its tokenizer.

    Raises InputError where there is none, or one of another format.
    """
    path = Path(path)
    directory = path / "model" if kind_of(path) == "run" else path
    data = read_json(directory / PRM_CONFIG)
    said = data.get("format") if isinstance(data, dict) else None
    if said != _FORMAT:
        raise InputError(
            f"{directory / PRM_CONFIG}: format {said!r}, this version reads {_FORMAT}; train or "
            "export the model again"
        )
    config = read_dataclass(_PrmConfig, data, str(directory / PRM_CONFIG))
    return ModelDirectory(
        directory,
        Layout(config.layout, load_tokenizer(directory)),
        config.target,
        config.model,
        Base(Path(config.base.path), config.base.fingerprint) if config.base else None,
        (config.tokens.good, config.tokens.bad) if config.tokens else None,
    )


def chosen_checkpoint(path: Path | str) -> tuple[Path, Which]:
    """A directory and which of its checkpoints is meant.

    `RUN` is a run's newest one, `RUN@best` the best by its validation, `RUN@300` that of a step; a
    model directory has one. Raises InputError on another word behind the @.
    """
    path = Path(path)
    name, at, said = path.name.rpartition("@")
    if not at or path.exists():
        return path, "last"
    if said not in ("best", "last") and not said.isdecimal():
        raise InputError(f"{path}: behind the @ comes best, last or a step, not {said!r}")
    path = path.with_name(name)
    if kind_of(path) != "run":
        raise InputError(f"{path} is no run directory: it has no checkpoints to choose from")
    return path, int(said) if said.isdecimal() else "best" if said == "best" else "last"


def kind_of(path: Path) -> Kind:
    """The form of the model in a directory. Raises InputError if it holds none."""
    if (path / "model" / PRM_CONFIG).is_file():
        return "run"
    if not path.is_dir():
        raise InputError(f"{path} does not exist; name a run or a model directory")
    if not (path / PRM_CONFIG).is_file():
        if (path / CONFIG_FILE).is_file() or (path / peft.CONFIG_FILE).is_file():
            raise InputError(
                f"{path} has no {PRM_CONFIG}, which says how the input of its PRM is laid out; "
                f"`codeprm adopt {path} --style ...` writes one"
            )
        raise InputError(f"{path} is no run directory and no model directory: no {PRM_CONFIG}")
    if (path / peft.CONFIG_FILE).is_file():
        return "peft"
    if (path / ORBAX_PARAMS).is_dir():
        return "orbax"
    return "huggingface"


def load_model(
    path: Path | str, mesh: Mesh, dtype: Literal["float32", "bfloat16"] | None = None
) -> LoadedModel:
    """The model in a run or model directory, sharded over `mesh`.

    Args:
      path: see `chosen_checkpoint`.
      dtype: in which it computes; by default that of its training or its config.json, and float32
        on a CPU, which has no fast bfloat16.

    Raises:
      InputError: there is no model, or no complete checkpoint, or its weights are not what its
        config says.
    """
    path, which = chosen_checkpoint(path)
    kind = kind_of(path)
    directory = load_model_directory(path)
    computing = _computing(mesh, dtype)
    if kind == "run":
        config, params, step = _load_run(path, which, directory, mesh, computing)
    else:
        load = {"huggingface": _load_huggingface, "peft": _load_peft, "orbax": _load_orbax}[kind]
        config, params, step = load(path, directory, mesh, computing)
    largest = directory.layout.tokenizer.vocab_size
    if largest > config.vocab_size:
        raise InputError(
            f"{path}: its tokenizer has {largest} entries, its embedding table {config.vocab_size}"
        )
    return LoadedModel(directory, config, params, step)


def token_ids(tokenizer: Tokenizer, tokens: tuple[str, str] | None) -> tuple[int, int] | None:
    """Ids of (good, bad) tokens. Raises InputError if one of them is several tokens."""
    if tokens is None:
        return None
    good, bad = tokens
    return tokenizer.token_id(good, "good token"), tokenizer.token_id(bad, "bad token")


def abstract_params(config: ModelConfig, mesh: Mesh) -> decoder.Params:
    """All parameters as float32 ShapeDtypeStructs with their shardings."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(lambda: decoder.create(config, 0)),
        params_shardings(mesh, config),
    )


_Computing = Callable[[ModelConfig, Any], ModelConfig]
_Loaded = tuple[ModelConfig, decoder.Params, int | None]


def _computing(mesh: Mesh, dtype: Literal["float32", "bfloat16"] | None) -> _Computing:
    """Sets how a model computes when it scores: what suited its training may not suit here."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"

    def choose(config: ModelConfig, stored: Any = None) -> ModelConfig:
        own = "bfloat16" if stored in ("bfloat16", "float16") else config.dtype
        chosen = dtype or ("float32" if on_cpu else own)
        return replace(config, dtype=chosen, remat="none", attention="auto")

    return choose


def _load_run(
    path: Path, which: Which, directory: ModelDirectory, mesh: Mesh, computing: _Computing
) -> _Loaded:
    if directory.model is None:
        raise InputError(f"{directory.path / PRM_CONFIG} does not give the model's shape")
    config = computing(directory.model, None)
    metric = ""
    if which == "best":
        facts = read_json(path / "run.json")
        try:
            metric = facts["config"]["training"]["best_metric"]
        except (KeyError, TypeError) as error:
            said = f"{path / 'run.json'} does not say by what a checkpoint is the best"
            raise InputError(said) from error
    abstract, _ = lora.divide(config, abstract_params(config, mesh))
    trained, step = restore_params(path, abstract, which, metric)
    frozen = load_frozen(config, directory.base, mesh)
    return config, lora.join(frozen, trained), step


def load_frozen(config: ModelConfig, base: Base | None, mesh: Mesh) -> decoder.Params:
    """What adapters freeze, from the checkpoint that they adapt; nothing without adapters.

    Matrices are in the compute dtype, see `lora.frozen_dtype`. Raises InputError where that
    checkpoint is gone, or another one stands in its place.
    """
    if not config.lora.rank:
        return {}
    if base is None:
        raise InputError(f"{PRM_CONFIG} does not say which checkpoint the adapters belong to")
    return _frozen_of(config, open_base(base), mesh)


def _frozen_of(config: ModelConfig, checkpoint: Checkpoint, mesh: Mesh) -> decoder.Params:
    params = load_params(checkpoint, mesh, lambda names: lora.frozen_dtype(config, names))
    return lora.divide(config, params)[1]


def open_base(base: Base) -> Checkpoint:
    """The checkpoint that training began from.

    Raises InputError where it is gone, or another one stands in its place.
    """
    if not base.path.is_dir():
        raise InputError(
            f"the checkpoint that training began from is not at {base.path}; put it there, or "
            f"change the path of 'base' in {PRM_CONFIG}"
        )
    checkpoint = open_checkpoint(base.path)
    if fingerprint(checkpoint) != base.fingerprint:
        raise InputError(
            f"{base.path} is not the checkpoint that training began from: its weights are others"
        )
    return checkpoint


def _load_huggingface(
    path: Path, directory: ModelDirectory, mesh: Mesh, computing: _Computing
) -> _Loaded:
    ids = token_ids(directory.layout.tokenizer, directory.tokens)
    checkpoint = open_checkpoint(path, ids)
    if checkpoint.head == "none":
        raise InputError(
            f"{path} has no score head: it is a language model. Train one from it (--checkpoint), "
            "or name two tokens of its head (`codeprm adopt --good-token --bad-token`)"
        )
    config = computing(checkpoint.config, checkpoint.stored_dtype)
    params = load_params(
        checkpoint,
        mesh,
        lambda names: jnp.float32 if names[0] == "score" else lora.frozen_dtype(config, names),
    )
    return config, params, None


def _load_peft(path: Path, directory: ModelDirectory, mesh: Mesh, computing: _Computing) -> _Loaded:
    if directory.base is None:
        raise InputError(
            f"{path / PRM_CONFIG} does not say which checkpoint the adapter belongs to: remove it "
            f"and write one with `codeprm adopt {path} --base DIR --style ...`"
        )
    checkpoint = open_base(directory.base)
    config, adapter = peft.read_adapter(path, checkpoint.config)
    config = computing(config, checkpoint.stored_dtype)
    shardings, _ = lora.divide(config, params_shardings(mesh, config))
    trained = jax.tree.map(jax.device_put, adapter, shardings)
    return config, lora.join(_frozen_of(config, checkpoint, mesh), trained), None


def _load_orbax(
    path: Path, directory: ModelDirectory, mesh: Mesh, computing: _Computing
) -> _Loaded:
    if directory.model is None:
        raise InputError(f"{directory.path / PRM_CONFIG} does not give the model's shape")
    config = computing(directory.model, None)
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            params = checkpointer.restore(
                (path / ORBAX_PARAMS).resolve(), abstract_params(config, mesh)
            )
    except (ValueError, KeyError, FileNotFoundError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path / ORBAX_PARAMS} is damaged or not of the shape in {PRM_CONFIG}: {text}"
        ) from error
    return config, params, None
