"""A Hugging Face checkpoint directory: which tensors it must hold, and which it does.

Only headers are read here. Every tensor is accounted for before the first one is loaded, so that a
checkpoint of another architecture, or half of one, is an error that lists names, not a bad score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from codeprm_jax.files import InputError, listed, read_json
from codeprm_jax.model import decoder, huggingface
from codeprm_jax.model.config import LoraConfig, ModelConfig

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"

FINGERPRINT_ROWS = 4

HeadSource = Literal["none", "linear", "mlp", "two_tokens"]

FLOATS = ("F32", "BF16", "F16")  # those that float32 represents exactly
LINEAR_HEADS = ("score", "value_head")  # of token classifiers, and of the authors' release


class WeightsError(InputError):
    """Tensors of a checkpoint that are missing, not wanted, misshapen or damaged; lists them."""


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies, its shape, and its safetensors dtype such as "BF16"."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory whose every tensor is accounted for, none of them read yet.

    Attributes:
      config: its shape; `head` as its score head has it, the default where it has none.
      original: the content of its config.json.
      tensors: by name.
      prefix: before the decoder's own names, "model." or nothing.
      head: what it scores with: "none" (a language model), "linear" (one or two labels), "mlp"
        (Qwen2.5-Math-PRM), or "two_tokens" of the language-model head.
      linear: the name of a linear head, "score" or "value_head".
      tokens: ids (good, bad) of the two tokens.
    """

    directory: Path
    config: ModelConfig
    original: dict[str, Any]
    tensors: Mapping[str, TensorInfo]
    prefix: str
    head: HeadSource
    linear: str = ""
    tokens: tuple[int, int] | None = None

    @property
    def stored_dtype(self) -> str | None:
        """The dtype that its config.json says it is to be used in, such as "bfloat16"."""
        return self.original.get("dtype") or self.original.get("torch_dtype")


def open_checkpoint(directory: Path | str, tokens: tuple[int, int] | None = None) -> Checkpoint:
    """Reads the headers of a checkpoint and compares its tensors with its config.json.

    Args:
      tokens: ids (good, bad): score with p(good) / (p(good) + p(bad)) of the next token, as
        Math-Shepherd does.

    Raises:
      InputError: no checkpoint, or an architecture that is not supported.
      WeightsError: tensors are missing, extra, misshapen, or of a dtype that is no float.
    """
    directory = Path(directory)
    config, original = huggingface.read_config(directory)
    tensors = _read_headers(directory)
    prefix = "model." if any(name.startswith("model.") for name in tensors) else ""
    linear = next((n for n in LINEAR_HEADS if f"{n}.weight" in tensors), "")
    head: HeadSource = "linear" if linear else "none"
    if tokens is not None:
        if not all(0 <= t < config.vocab_size for t in tokens):
            raise InputError(f"tokens {tokens} are not in the vocabulary of {directory}")
        head = "two_tokens"
    elif "score.2.weight" in tensors:
        head, config = "mlp", replace(config, head="mlp")
    elif linear and f"{linear}.bias" in tensors:
        # A bias of zero is none: so a head that had none is the same after a round trip.
        bias = read_tensor(tensors[f"{linear}.bias"], f"{linear}.bias")
        config = replace(config, head="classifier" if bias.any() else "value")
    checkpoint = Checkpoint(directory, config, original, tensors, prefix, head, linear, tokens)
    _account_for(checkpoint)
    return checkpoint


def read_tensor(info: TensorInfo, name: str, *index: slice) -> np.ndarray:
    """A slice of a stored tensor in its stored dtype; nothing else of the file stays mapped."""
    with safe_open(info.file, "numpy") as file:
        part = file.get_slice(name)
        return part[index] if index else part[:]


def fingerprint(checkpoint: Checkpoint) -> str:
    """Tells a checkpoint from others of its shape, into whatever files it is divided.

    The first rows of every tensor of the decoder are read: any training, and the merging of any
    adapter, changes some of them.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in decoder_paths(checkpoint.config):
        for name in tensor_names(checkpoint.config, path):
            full = checkpoint.prefix + name
            rows = read_tensor(checkpoint.tensors[full], full, slice(FINGERPRINT_ROWS))
            digest.update(name.encode() + rows.astype(np.float32).tobytes())
    return digest.hexdigest()


def tensor_names(config: ModelConfig, path: tuple[str, ...]) -> list[str]:
    """The Hugging Face names of a decoder parameter, one a layer, without a prefix.

    A kernel is stored transposed, [outputs, inputs].
    """
    *modules, kind = path
    leaf = "bias" if kind == "bias" else "weight"
    if modules[0] != "layers":
        return [".".join([*modules, leaf])]
    inner = ".".join([*modules[1:], leaf])
    return [f"layers.{layer}.{inner}" for layer in range(config.num_layers)]


def decoder_paths(config: ModelConfig) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Path -> our shape of every decoder parameter without the score head."""
    plain = replace(config, lora=LoraConfig())
    abstract = jax.eval_shape(lambda: decoder.create(plain, 0))
    flat = jax.tree_util.tree_flatten_with_path(abstract)[0]
    paths = {tuple(k.key for k in path): leaf.shape for path, leaf in flat}
    return {path: shape for path, shape in paths.items() if path[0] != "score"}


def _their_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one stored tensor of the parameter at `path`."""
    one = shape[1:] if path[0] == "layers" else shape
    return one[::-1] if path[-1] == "kernel" else one


def _read_headers(directory: Path) -> dict[str, TensorInfo]:
    if (directory / INDEX_FILE).is_file():
        index = read_json(directory / INDEX_FILE)
        weight_map = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(weight_map, dict) or not all(
            isinstance(name, str) for name in weight_map.values()
        ):
            raise WeightsError(
                f"{directory / INDEX_FILE} is damaged: it has no weight_map of names"
            )
        files = sorted(set(weight_map.values()))
    elif (directory / SINGLE_FILE).is_file():
        files = [SINGLE_FILE]
    else:
        raise WeightsError(
            f"{directory} has neither {SINGLE_FILE} nor {INDEX_FILE}; only safetensors are read "
            "(save_pretrained writes them), never pickled weights"
        )
    tensors: dict[str, TensorInfo] = {}
    for name in files:
        if Path(name).name != name:
            raise WeightsError(f"{directory / INDEX_FILE} names a file elsewhere: {name}")
        file = directory / name
        if not file.is_file():
            raise WeightsError(f"{file}, which {INDEX_FILE} names, is missing")
        try:
            with safe_open(file, "numpy") as opened:
                for key in opened.keys():  # noqa: SIM118 (no mapping)
                    part = opened.get_slice(key)
                    shape = tuple(part.get_shape())
                    tensors[key] = TensorInfo(file, shape, part.get_dtype())
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{file} is damaged or cut off: {error}") from error
    return tensors


def _account_for(checkpoint: Checkpoint) -> None:
    """Raises WeightsError unless the tensors are exactly those of the config."""
    config, tensors = checkpoint.config, checkpoint.tensors
    expected = {
        checkpoint.prefix + name: _their_shape(path, shape)
        for path, shape in decoder_paths(config).items()
        for name in tensor_names(config, path)
    }
    expected |= _head_shapes(checkpoint)
    problems = []
    if missing := sorted(expected.keys() - tensors.keys()):
        problems.append(f"missing: {listed(missing)}")
    extra = [n for n in tensors if n not in expected and not _is_unused(n)]
    if extra:
        problems.append(f"not expected: {listed(sorted(extra))}")
    shapes = [
        f"{n} is {list(tensors[n].shape)}, {huggingface.CONFIG_FILE} implies {list(shape)}"
        for n, shape in expected.items()
        if n in tensors and tensors[n].shape != shape
    ]
    if shapes:
        problems.append(f"misshapen: {listed(shapes)}")
    found = [n for n in expected if n in tensors]
    if kinds := [f"{n} is {tensors[n].dtype}" for n in found if tensors[n].dtype not in FLOATS]:
        problems.append(f"of a dtype other than {', '.join(FLOATS)}: {listed(kinds)}")
    if problems:
        raise WeightsError(f"tensors of {checkpoint.directory}: {'; '.join(problems)}")


def _head_shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    hidden, tensors = checkpoint.config.hidden_size, checkpoint.tensors
    if checkpoint.head == "mlp":
        labels = _labels(tensors["score.2.weight"])
        return {
            "score.0.weight": (hidden, hidden),
            "score.0.bias": (hidden,),
            "score.2.weight": (labels, hidden),
            "score.2.bias": (labels,),
        }
    if checkpoint.head == "linear":
        name = checkpoint.linear
        labels = _labels(tensors[f"{name}.weight"])
        shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (labels, hidden)}
        return shapes | ({f"{name}.bias": (labels,)} if f"{name}.bias" in tensors else {})
    tied = checkpoint.original.get("tie_word_embeddings") and "lm_head.weight" not in tensors
    if checkpoint.head == "two_tokens" and not tied:
        return {"lm_head.weight": (checkpoint.config.vocab_size, hidden)}
    return {}


def _labels(weight: TensorInfo) -> int:
    if len(weight.shape) != 2 or weight.shape[0] not in (1, 2):
        raise WeightsError(
            f"the score head of {weight.file} has shape {list(weight.shape)}; one or two labels, "
            "wrong and right, can be read as a score"
        )
    return weight.shape[0]


def _is_unused(name: str) -> bool:
    """Tensors without a part in a score: the language-model head, and tables of old Llamas."""
    return name == "lm_head.weight" or name.endswith("rotary_emb.inv_freq")
