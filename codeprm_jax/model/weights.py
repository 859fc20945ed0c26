"""Weights of a Hugging Face checkpoint: read shard by shard onto a mesh, written tensor by tensor.

Reading: each device's part of a parameter is filled on that device in pieces of at most CHUNK
bytes, so the host never holds more than a few pieces, however large the model or its tensors.
Writing: one tensor at a time is gathered, and one file's worth of them is held.
Files are safetensors; nothing is unpickled, and torch is not used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from safetensors.numpy import save_file

from codeprm_jax.files import InputError, write_json
from codeprm_jax.model import decoder, huggingface
from codeprm_jax.model.checkpoint import (
    INDEX_FILE,
    SINGLE_FILE,
    Checkpoint,
    decoder_paths,
    read_tensor,
    tensor_names,
)
from codeprm_jax.model.config import Dtype, LoraConfig, ModelConfig
from codeprm_jax.sharding import named_sharding, replicated

CHUNK = 64 << 20  # bytes that are read at once
ITEM_BYTES = 4  # of a float32, what a stored element may become
MAX_FILE = 2 << 30  # bytes of a written file, as far as single tensors allow

DtypeOf = Callable[[tuple[str, ...]], Any]
Index = tuple[slice, ...]
Pieces = Iterator[tuple[tuple[int, ...], np.ndarray, bool]]


def load_params(
    checkpoint: Checkpoint, mesh: Mesh, dtype_of: DtypeOf = lambda path: jnp.float32
) -> decoder.Params:
    """The parameters of `checkpoint.config` without adapters, sharded over `mesh`.

    "score" is there only if the checkpoint has a score head. A head of two labels (l0, l1) becomes
    the scalar z = l1 - l0, for softmax((l0, l1))[1] = sigmoid(l1 - l0).

    Args:
      dtype_of: path of a parameter -> the dtype in which it is kept.
    """
    config = replace(checkpoint.config, lora=LoraConfig())
    abstract = jax.eval_shape(lambda: decoder.create(config, 0))
    del abstract["score"]

    def load(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        names = tuple(key.key for key in path)
        sharding = named_sharding(mesh, decoder.logical_axes(names), leaf.shape)
        kept = jax.ShapeDtypeStruct(leaf.shape, dtype_of(names), sharding=sharding)
        return _build(kept, partial(_pieces, checkpoint, names))

    params = jax.tree_util.tree_map_with_path(load, abstract)
    return params | ({} if checkpoint.head == "none" else {"score": load_head(checkpoint, mesh)})


def load_head(checkpoint: Checkpoint, mesh: Mesh) -> decoder.Params:
    """The score head alone, float32, sharded over `mesh`."""
    head: dict[str, Any] = {}
    for name, value in read_head(checkpoint).items():
        module, kind = name.split(".")
        sharding = named_sharding(mesh, decoder.logical_axes((module, kind)), value.shape)
        head.setdefault(module, {})[kind] = jax.device_put(value, sharding)
    return head


def read_head(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The score head as one logit: "out.kernel" float32[hidden, 1] and what else its kind has."""

    def read(name: str) -> np.ndarray:
        return read_tensor(checkpoint.tensors[name], name).astype(np.float32)

    def scalar(name: str) -> np.ndarray:
        """Of two labels the difference, along the last axis."""
        value = read(name).T
        return value[..., 1:] - value[..., :1] if value.shape[-1] == 2 else value

    if checkpoint.head == "two_tokens":
        tied = "lm_head.weight" not in checkpoint.tensors
        name = checkpoint.prefix + "embed_tokens.weight" if tied else "lm_head.weight"
        good, bad = (
            read_tensor(checkpoint.tensors[name], name, slice(t, t + 1)).astype(np.float32)
            for t in checkpoint.tokens or ()
        )
        return {"out.kernel": (good - bad).T}
    if checkpoint.head == "mlp":
        return {
            "dense.kernel": read("score.0.weight").T,
            "dense.bias": read("score.0.bias"),
            "out.kernel": scalar("score.2.weight"),
            "out.bias": scalar("score.2.bias"),
        }
    head = {"out.kernel": scalar(f"{checkpoint.linear}.weight")}
    if checkpoint.config.head == "classifier":
        head["out.bias"] = scalar(f"{checkpoint.linear}.bias")
    return head


def write_params(
    directory: Path,
    config: ModelConfig,
    params: decoder.Params,
    mesh: Mesh,
    original: Mapping[str, Any] | None = None,
    dtype: Dtype = "float32",
    max_file: int = MAX_FILE,
) -> None:
    """Writes config.json and safetensors of a token classifier with two labels: logits (0, z).

    Every process of a multi-host run must call it; the first one writes.

    Args:
      params: without adapters (see `lora.merge`), sharded in any way.
      original: config.json of the checkpoint that training began from.
      max_file: bytes of one file; also the bound on what the host holds, beside one tensor.

    Raises:
      InputError: a head of two layers, which a token classifier does not have.
    """
    if config.head == "mlp":
        raise InputError("a head of two layers has no token-classification form; use format orbax")
    fetch = _Fetcher(config, params, mesh, jnp.dtype(dtype))
    plan = _plan_files(fetch.sizes, max_file)
    writes = jax.process_index() == 0
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
    weight_map: dict[str, str] = {}
    total = 0
    for number, names in enumerate(plan, 1):
        file = SINGLE_FILE if len(plan) == 1 else f"model-{number:05}-of-{len(plan):05}.safetensors"
        held: dict[str, np.ndarray] = {}
        for name in names:
            tensor = fetch(name)
            total += tensor.nbytes
            weight_map[name] = file
            if writes:
                held[name] = tensor
        if writes:
            temporary = directory / f".{file}.{os.getpid()}.tmp"
            save_file(held, temporary, metadata={"format": "pt"})
            temporary.chmod(directory.stat().st_mode & 0o666)  # it is made for its owner alone
            os.replace(temporary, directory / file)
    if writes:
        if len(plan) > 1:
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            write_json(directory / INDEX_FILE, index)
        # Last: a directory without it is no checkpoint.
        write_json(
            directory / huggingface.CONFIG_FILE,
            huggingface.to_huggingface(config, original, dtype),
        )


# Reading


def _build(leaf: jax.ShapeDtypeStruct, pieces: Callable[[Index], Pieces]) -> jax.Array:
    """An array whose shard on each device is filled there, piece by piece."""
    sharding: Any = leaf.sharding
    built: dict[str, jax.Array] = {}
    arrays = []
    for device, index in sharding.addressable_devices_indices_map(leaf.shape).items():
        key = str(index)
        if key in built:  # a replica: copied between devices, not read again
            arrays.append(jax.device_put(built[key], device))
            continue
        part = jnp.zeros(sharding.shard_shape(leaf.shape), leaf.dtype, device=device)
        for start, piece, transposed in pieces(index):
            # Waited for, or pieces would pile up on the host.
            part = jax.block_until_ready(_fill(part, piece, start, transposed))
        built[key] = part
        arrays.append(part)
    return jax.make_array_from_single_device_arrays(leaf.shape, sharding, arrays)


@partial(jax.jit, donate_argnums=0, static_argnums=3)
def _fill(part: jax.Array, piece: jax.Array, start: tuple[int, ...], transposed: bool) -> jax.Array:
    """`part` with a piece of one layer, or of an unstacked parameter, at `start`."""
    piece = (piece.T if transposed else piece).astype(part.dtype)
    shape = (1,) * (part.ndim - piece.ndim) + piece.shape
    return jax.lax.dynamic_update_slice(part, piece.reshape(shape), start)


def _pieces(checkpoint: Checkpoint, path: tuple[str, ...], index: Index) -> Pieces:
    """(start in the shard, stored piece, is it transposed) of all that a shard holds."""
    names = tensor_names(checkpoint.config, path)
    stacked, transposed = path[0] == "layers", path[-1] == "kernel"
    wanted = index[1:] if stacked else index
    stored = wanted[::-1] if transposed else wanted
    for at, name in enumerate(names[index[0]] if stacked else names):
        name = checkpoint.prefix + name
        info = checkpoint.tensors[name]
        ranges = [range(*s.indices(n)) for s, n in zip(stored, info.shape, strict=True)]
        rows, others = ranges[0], ranges[1:]
        row_bytes = ITEM_BYTES * math.prod(map(len, others))
        step = max(1, CHUNK // row_bytes)
        for row in range(rows.start, rows.stop, step):
            piece = read_tensor(
                info,
                name,
                slice(row, min(row + step, rows.stop)),
                *(slice(r.start, r.stop) for r in others),
            )
            start = [row - rows.start, *(0 for _ in others)]
            if transposed:
                start.reverse()
            yield tuple([at, *start] if stacked else start), piece, transposed


# Writing


class _Fetcher:
    """Gathers single tensors of the written form, in their order, to every host."""

    def __init__(
        self, config: ModelConfig, params: decoder.Params, mesh: Mesh, dtype: np.dtype
    ) -> None:
        self._params, self._dtype = params, dtype
        self._places: dict[str, tuple[tuple[str, ...], int | None]] = {}
        for path in decoder_paths(config):
            for layer, name in enumerate(tensor_names(config, path)):
                place = layer if path[0] == "layers" else None
                self._places[f"model.{name}"] = path, place
        order = sorted(self._places, key=_reading_order)
        self.sizes = {name: self._size(name) for name in order}
        self.sizes |= {
            "score.weight": 2 * config.hidden_size * dtype.itemsize,
            "score.bias": 2 * dtype.itemsize,
        }

        def stored(array: jax.Array, layer: jax.Array | None, transpose: bool) -> jax.Array:
            if layer is not None:
                array = jax.lax.dynamic_index_in_dim(array, layer, keepdims=False)
            return (array.T if transpose else array).astype(dtype)

        self._stored = jax.jit(stored, static_argnums=2, out_shardings=replicated(mesh))

    def __call__(self, name: str) -> np.ndarray:
        """The tensor on this host."""
        if name.startswith("score."):
            return self._head(name)
        path, layer = self._places[name]
        index = None if layer is None else jnp.int32(layer)
        # Contiguous, for safetensors writes what lies behind an array's pointer.
        return np.ascontiguousarray(self._stored(self._leaf(path), index, path[-1] == "kernel"))

    def _head(self, name: str) -> np.ndarray:
        out = self._params["score"]["out"]
        if name == "score.weight":
            weight = np.asarray(self._stored(out["kernel"], None, True))
            return np.concatenate([np.zeros_like(weight), weight])
        if "bias" not in out:
            return np.zeros(2, self._dtype)
        bias = np.asarray(self._stored(out["bias"], None, False))
        return np.concatenate([np.zeros_like(bias), bias])

    def _leaf(self, path: tuple[str, ...]) -> jax.Array:
        leaf: Any = self._params
        for key in path:
            leaf = leaf[key]
        return leaf

    def _size(self, name: str) -> int:
        path, layer = self._places[name]
        shape = self._leaf(path).shape
        return math.prod(shape[1:] if layer is not None else shape) * self._dtype.itemsize


def _reading_order(name: str) -> tuple[int, int, str]:
    """Embeddings, layers by number, the last norm: as a reader needs them."""
    parts = name.split(".")
    if parts[1] == "layers":
        return 1, int(parts[2]), name
    return (0 if parts[1] == "embed_tokens" else 2), 0, name


def _plan_files(sizes: Mapping[str, int], max_file: int) -> list[list[str]]:
    """Names by file: as many in their order as fit, and at least one."""
    files: list[list[str]] = [[]]
    room = max_file
    for name, size in sizes.items():
        if files[-1] and size > room:
            files.append([])
            room = max_file
        files[-1].append(name)
        room -= size
    return files
