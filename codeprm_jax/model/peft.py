"""LoRA adapters and the score head in PEFT's format, read and written without torch.

A directory holds `adapter_config.json` and `adapter_model.safetensors`. PEFT stores a matrix as
torch does, [outputs, inputs], one a layer; here it is [layers, inputs, outputs]. A score is a logit
z; a token classifier has two, l0 and l1, and softmax((l0, l1))[1] = sigmoid(l1 - l0): the head is
written as (0, z) and read as l1 - l0.

PEFT adds options with every version. Reading refuses whatever is not plain LoRA, and every field
that it does not know unless the field is empty: an adapter that loads scores as it did in PEFT.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from codeprm_jax.files import InputError, listed, read_json, write_bytes, write_json
from codeprm_jax.model.checkpoint import FLOATS, LINEAR_HEADS
from codeprm_jax.model.config import PROJECTIONS, Head, LoraConfig, ModelConfig
from codeprm_jax.model.lora import Tree

CONFIG_FILE = "adapter_config.json"
TENSORS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"

_PREFIX = "base_model.model."

# Fields that are read, and fields that say nothing about what a stored adapter computes: where it
# came from, how it was initialised, and sizes of methods that other fields switch on.
_READ = {"peft_type", "r", "lora_alpha", "lora_dropout", "target_modules", "modules_to_save"}
_WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version"),
    *("corda_config", "eva_config", "loftq_config", "lora_ga_config"),
    *("megatron_core", "qalora_group_size", "ensure_weight_tying"),
}
# Values that are plain LoRA, beside those that are empty. The other initialisations (PiSSA, OLoRA,
# CorDA, LoftQ, LoRA-GA) change the base's weights, so that the base on disk is not the adapter's.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "init_lora_weights": (True, "gaussian", "eva", "orthogonal"),
    "task_type": ("TOKEN_CLS", "SEQ_CLS", "CAUSAL_LM"),
}
_MERGE = "merge the adapter into its base with PEFT (merge_and_unload) and use that checkpoint"
_REMEDIES = {
    "use_rslora": "set it to false and multiply lora_alpha by the square root of r: that is equal",
    "init_lora_weights": "it may have changed the base; save the adapter again with "
    "save_pretrained(..., path_initial_model_for_weight_conversion=...)",
    "exclude_modules": "set it to null and list what is adapted in target_modules",
}


def write_adapter(directory: Path, config: ModelConfig, trained: Tree, base: str) -> None:
    """Writes the adapters and the head for `AutoModelForTokenClassification` with two labels.

    Each file is whole or not there at all, and a directory without a config is no adapter.

    Args:
      trained: as `lora.divide` gives it, numpy or fully addressable JAX arrays.
      base: path or hub name of the checkpoint that the adapter belongs to.

    Raises:
      InputError: the model has no adapters, or a head of two layers.
      ValueError: a parameter has not the shape that the config implies.
    """
    if not config.lora.rank:
        raise InputError("this model has no LoRA adapters to write; use --format hf")
    if config.head == "mlp":
        raise InputError(
            "PEFT's token classifiers have no score head of two layers; use --format orbax"
        )
    tensors = {}
    for leaf in _adapter_leaves(config):
        stacked = _parameter(trained, leaf.path, (config.num_layers, *leaf.shape))
        for name, matrix in zip(leaf.names, stacked, strict=True):
            # Contiguous: safetensors writes the memory that it is pointed to.
            tensors[name] = np.ascontiguousarray(matrix.T)
    kernel = _parameter(trained, ("score", "out", "kernel"), (config.hidden_size, 1))
    bias = np.zeros(1, np.float32)
    if config.head == "classifier":
        bias = _parameter(trained, ("score", "out", "bias"), (1,))
    tensors[f"{_PREFIX}score.weight"] = np.concatenate([np.zeros_like(kernel.T), kernel.T])
    tensors[f"{_PREFIX}score.bias"] = np.concatenate([np.zeros_like(bias), bias])

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # First: a kill between the two files must not leave an old config beside new tensors.
    (directory / CONFIG_FILE).unlink(missing_ok=True)
    write_bytes(directory / TENSORS_FILE, save(tensors, {"format": "pt"}))
    write_json(directory / CONFIG_FILE, _to_peft(config.lora, base))


def read_adapter(directory: Path, config: ModelConfig) -> tuple[ModelConfig, Tree]:
    """The config with the adapter's `lora` and `head`, and the trained parameters, numpy float32.

    PEFT's files are read, those of older versions and the authors' release among them: the head is
    `score` or `value_head` with one or two labels, and names may contain `.modules_to_save` or
    `.default`. A head of two labels is "value" if its first row and its biases are zero, which is
    how `write_adapter` writes one, else "classifier"; without a bias it is "value".

    Args:
      config: the shape of the base.

    Raises:
      InputError: no adapter, one that is not exactly represented here, or one of another base; the
        message names the field or the tensors.
    """
    directory = Path(directory)
    if not (directory / CONFIG_FILE).is_file():
        raise InputError(f"{directory} is no adapter of PEFT: it has no {CONFIG_FILE}")
    data = read_json(directory / CONFIG_FILE)
    config = replace(config, lora=_from_peft(data, str(directory / CONFIG_FILE)))
    file = directory / TENSORS_FILE
    if not file.is_file() and (directory / PICKLE_FILE).exists():
        raise InputError(
            f"{directory} has a {PICKLE_FILE} only: a pickle can run code and is never read. If "
            "you trust it, load it with PEFT and call save_pretrained, which writes safetensors"
        )
    try:
        with safe_open(file, "numpy") as opened:
            stored = _account_for(opened, config, data.get("task_type"), file)
            tensors = {n: opened.get_tensor(key).astype(np.float32) for n, key in stored.items()}
    except FileNotFoundError:
        raise InputError(f"{file} does not exist") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is damaged or cut off: {error}") from error
    trained: Tree = {"layers": {}}
    for leaf in _adapter_leaves(config):
        _, parent, projection, kind = leaf.path
        module = trained["layers"].setdefault(parent, {}).setdefault(projection, {})
        module[kind] = np.stack([tensors[name].T for name in leaf.names])
    head, trained["score"] = _read_head(tensors)
    return replace(config, head=head), trained


# adapter_config.json


def _to_peft(lora: LoraConfig, base: str) -> dict[str, Any]:
    """What every version of PEFT knows; the fields that it added since have their defaults."""
    return {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": int(lora.alpha) if float(lora.alpha).is_integer() else lora.alpha,
        "lora_dropout": lora.dropout,
        "modules_to_save": ["score"],
        "peft_type": "LORA",
        "r": lora.rank,
        "target_modules": [name for name in PROJECTIONS if name in lora.targets],
        "task_type": "TOKEN_CLS",
    }


def _from_peft(data: Any, where: str) -> LoraConfig:
    """The content of adapter_config.json. Raises InputError unless it is plain LoRA."""
    if not isinstance(data, dict) or data.get("peft_type") != "LORA":
        found = data.get("peft_type") if isinstance(data, dict) else None
        raise InputError(f"{where}: peft_type is {found!r}, not 'LORA': {_MERGE}")
    for field, value in data.items():
        # Zero is not empty: layers_to_transform 0 is the first layer.
        empty = value is None or value is False or value in ("", [], {})
        plain = _PLAIN.get(field, ())
        if field not in _READ | _WITHOUT_EFFECT and not empty and value not in plain:
            values = f" ({', '.join(map(str, plain))} would be)" if plain else ""
            raise InputError(
                f"{where}: {field} is {value!r}, which is not known to be plain LoRA{values}: "
                f"{_REMEDIES.get(field, _MERGE)}"
            )
    saved = data.get("modules_to_save")
    named = {str(m) for m in (saved if isinstance(saved, list) else [saved])} if saved else set()
    others = sorted(named - {*LINEAR_HEADS, "classifier"})  # PEFT names both of its own, always
    if others:
        raise InputError(
            f"{where}: modules_to_save names {', '.join(others)}; beside adapters only a score "
            f"head ({' or '.join(LINEAR_HEADS)}) is read: {_MERGE}"
        )
    rank = data.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise InputError(f"{where}: r is {rank!r}; the adapters' rank, at least 1, is needed")
    dropout = _number(data, "lora_dropout", where)
    if not 0 <= dropout < 1:
        raise InputError(f"{where}: lora_dropout is {dropout}; a probability below 1 is needed")
    return LoraConfig(
        rank=rank,
        alpha=_number(data, "lora_alpha", where),
        dropout=dropout,
        targets=_targets(data.get("target_modules"), where),
    )


def _number(data: Mapping[str, Any], field: str, where: str) -> float:
    value = data.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{where}: {field} is {value!r}; a number is needed")
    return float(value)


def _targets(modules: Any, where: str) -> tuple[str, ...]:
    """The projections that target_modules names, in the order of PROJECTIONS."""
    if modules == "all-linear":
        return PROJECTIONS
    listed = f"list the projections' names, some of {', '.join(PROJECTIONS)}"
    if isinstance(modules, str):
        raise InputError(f"{where}: target_modules {modules!r} is a regular expression: {listed}")
    if not isinstance(modules, list) or not modules:
        raise InputError(f"{where}: target_modules is {modules!r}: {listed}")
    targets = set()
    for module in map(str, modules):
        *path, name = module.split(".")
        # A name that begins further up, such as layers.0.self_attn.q_proj, may be one layer's: if
        # other layers have no adapter, their tensors will be missed.
        if name not in PROJECTIONS or (path and path[-1] != _parent(name)):
            raise InputError(f"{where}: target_modules names {module!r}: {listed}")
        targets.add(name)
    return tuple(name for name in PROJECTIONS if name in targets)


# adapter_model.safetensors


class _Leaf(NamedTuple):
    """A parameter of the adapters.

    Attributes:
      path: in the tree of parameters.
      names: of PEFT's tensors, one a layer.
      shape: of one layer's matrix here; PEFT's is its transpose.
    """

    path: tuple[str, str, str, str]
    names: list[str]
    shape: tuple[int, int]


def _adapter_leaves(config: ModelConfig) -> list[_Leaf]:
    leaves = []
    rank = config.lora.rank
    for name in (n for n in PROJECTIONS if n in config.lora.targets):
        inputs, outputs = config.projection_shape(name)
        for kind, theirs, shape in (
            ("lora_a", "lora_A", (inputs, rank)),
            ("lora_b", "lora_B", (rank, outputs)),
        ):
            inner = f"{_parent(name)}.{name}.{theirs}.weight"
            names = [f"{_PREFIX}model.layers.{i}.{inner}" for i in range(config.num_layers)]
            leaves.append(_Leaf(("layers", _parent(name), name, kind), names, shape))
    return leaves


def _parent(name: str) -> str:
    return "self_attn" if name in PROJECTIONS[:4] else "mlp"


def _account_for(opened: Any, config: ModelConfig, task: str | None, file: Path) -> dict[str, str]:
    """PEFT's name -> the name in the file. Raises InputError unless tensors and config agree."""
    stored: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, str] = {}
    for key in opened.keys():  # noqa: SIM118 (no mapping)
        # PEFT's adapter is "default" unless it was named; saving drops that name in new versions.
        name = ".".join(p for p in key.split(".") if p not in ("modules_to_save", "default"))
        if name in stored:
            raise InputError(f"{file} holds {name} twice, as {stored[name]} and as {key}")
        part = opened.get_slice(key)
        stored[name], shapes[name], dtypes[name] = key, tuple(part.get_shape()), part.get_dtype()

    expected: dict[str, tuple[int, ...]] = {
        name: leaf.shape[::-1] for leaf in _adapter_leaves(config) for name in leaf.names
    }
    problems = []
    layers = [int(m[1]) + 1 for name in stored if (m := re.search(r"\.layers\.(\d+)\.", name))]
    if layers and max(layers) != config.num_layers:
        problems.append(f"{max(layers)} layers where the base has {config.num_layers}")
    head = next((h for h in LINEAR_HEADS if f"{_PREFIX}{h}.weight" in stored), None)
    if head is None:
        problems.append(
            f"no score head ({' or '.join(f'{_PREFIX}{h}.weight' for h in LINEAR_HEADS)}): "
            "train one with modules_to_save, an adapter of a language model scores nothing"
        )
    else:
        shape = shapes[f"{_PREFIX}{head}.weight"]
        labels = 1 if shape[:1] == (1,) else 2
        expected[f"{_PREFIX}{head}.weight"] = (labels, config.hidden_size)
        # The head of a token classifier has a bias, always; of other heads the file tells.
        if f"{_PREFIX}{head}.bias" in stored or (task == "TOKEN_CLS" and head == "score"):
            expected[f"{_PREFIX}{head}.bias"] = (labels,)
    found = [n for n in expected if n in stored]
    checks = {
        "missing": sorted(expected.keys() - stored.keys()),
        "not expected": sorted(stored[n] for n in stored.keys() - expected.keys()),
        "misshapen": [
            f"{stored[n]} is {list(shapes[n])} where config and base imply {list(expected[n])}"
            for n in found
            if shapes[n] != expected[n]
        ],
        f"of a dtype other than {', '.join(FLOATS)}": [
            f"{stored[n]} is {dtypes[n]}" for n in found if dtypes[n] not in FLOATS
        ],
    }
    problems += [f"{what}: {listed(names)}" for what, names in checks.items() if names]
    if problems:
        raise InputError(
            f"{file} is not an adapter of this base that {CONFIG_FILE} describes: "
            f"{'; '.join(problems)}"
        )
    return stored


def _read_head(tensors: Mapping[str, np.ndarray]) -> tuple[Head, Tree]:
    """The kind of the score head, and "score" of the trained parameters."""
    name = next(h for h in LINEAR_HEADS if f"{_PREFIX}{h}.weight" in tensors)
    weight, bias = tensors[f"{_PREFIX}{name}.weight"], tensors.get(f"{_PREFIX}{name}.bias")
    kernel = np.ascontiguousarray((weight[1:] - weight[:1] if len(weight) == 2 else weight).T)
    # A bias of -0.0 is not what we write for none, and the next file must have it again.
    unused = bias is not None and not weight[:-1].any() and not bias.view(np.uint32).any()
    if bias is None or (len(weight) == 2 and unused):
        return "value", {"out": {"kernel": kernel}}
    return "classifier", {
        "out": {"kernel": kernel, "bias": bias[1:] - bias[:1] if len(bias) == 2 else bias}
    }


def _parameter(trained: Tree, path: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    """The parameter at `path` as float32. Raises ValueError unless it has this shape."""
    value: Any = trained
    for name in path:
        value = value[name]
    array = np.asarray(value, np.float32)
    if array.shape != shape:
        raise ValueError(f"{'.'.join(path)} is {array.shape}; the config implies {shape}")
    return array
