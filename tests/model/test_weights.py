"""Invariant 6: a checkpoint's weights give transformers' logits, and the other way round."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder, weights
from codeprm_jax.model.checkpoint import INDEX_FILE, WeightsError, open_checkpoint
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.model.weights import load_params, write_params
from codeprm_jax.sharding import MeshConfig, make_mesh
from tests.checkpoints import ARCHITECTURES, SHAPE, logits_of, make_checkpoint, make_model
from tests.conftest import random_tokens

HIDDEN = SHAPE["hidden_size"]


def one_device() -> Any:
    return make_mesh(devices=jax.devices()[:1])


def score_logits(config: ModelConfig, params: decoder.Params, tokens: np.ndarray) -> np.ndarray:
    at = np.tile(np.arange(tokens.shape[1], dtype=np.int32), (len(tokens), 1))
    forward = jax.jit(partial(decoder.apply, config))
    return np.asarray(forward(params, tokens, np.ones_like(tokens), at))


def difference(logits: np.ndarray) -> np.ndarray:
    return logits[..., 1] - logits[..., 0]


def assert_same(ours: decoder.Params, theirs: decoder.Params) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), b), ours, theirs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_goes_in_and_out(architecture: str, tmp_path: Path) -> None:
    """Import, packed and unpacked logits, export, transformers again, and import again."""
    from transformers import AutoModelForTokenClassification

    theirs = make_checkpoint(tmp_path / "in", architecture)
    checkpoint = open_checkpoint(tmp_path / "in")
    mesh = one_device()
    params = load_params(checkpoint, mesh)
    tokens = random_tokens(np.random.default_rng(0), 2, 149)  # a length that no block divides
    expected = difference(logits_of(theirs, tokens))
    ours = score_logits(checkpoint.config, params, tokens)
    assert np.abs(ours - expected).max() < 1e-4

    # Both rows packed into one, behind each other.
    packed = tokens.reshape(1, -1)
    segments = np.repeat([[1, 2]], [149], axis=1).reshape(1, -1).astype(np.int32)
    at = np.tile(np.arange(149, dtype=np.int32), 2)[None]
    forward = jax.jit(partial(decoder.apply, checkpoint.config))
    together = np.asarray(forward(params, packed, segments, at)).reshape(2, 149)
    assert np.abs(together - expected).max() < 1e-4

    write_params(tmp_path / "out", checkpoint.config, params, mesh, checkpoint.original)
    exported = AutoModelForTokenClassification.from_pretrained(tmp_path / "out").eval()
    logits = logits_of(exported, tokens)
    assert np.abs(difference(logits) - expected).max() < 1e-4
    assert (logits[..., 0] == 0).all()  # the two-class form
    again = open_checkpoint(tmp_path / "out")
    assert again.config == checkpoint.config
    assert_same(load_params(again, mesh), params)


def test_hidden_states_are_those_of_transformers(tmp_path: Path) -> None:
    """A bare decoder without a head, as `AutoModel` saves it."""
    torch = pytest.importorskip("torch")
    theirs = make_checkpoint(tmp_path, "qwen2", task="Model")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.head == "none" and checkpoint.prefix == ""
    params = load_params(checkpoint, one_device())
    assert "score" not in params
    params["score"] = decoder.create(checkpoint.config, 0)["score"]
    tokens = random_tokens(np.random.default_rng(0), 2, 50)
    with torch.no_grad():
        expected = theirs(torch.tensor(tokens, dtype=torch.long)).last_hidden_state.numpy()
    at = np.tile(np.arange(50, dtype=np.int32), (2, 1))
    model = decoder.bind(checkpoint.config, params)
    ours = np.asarray(model.hidden_states(tokens, np.ones_like(tokens), at))
    assert np.abs(ours - expected).max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 8, 1), (2, 2, 2), (1, 2, 4), (8, 1, 1)])
def test_a_mesh_holds_the_same_weights(
    shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces far smaller than a tensor, shards that cut every axis, several files."""
    make_checkpoint(tmp_path / "in", "qwen2", max_shard_size="40KB")
    assert (tmp_path / "in" / INDEX_FILE).is_file()
    checkpoint = open_checkpoint(tmp_path / "in")
    whole = load_params(checkpoint, one_device())
    monkeypatch.setattr(weights, "CHUNK", 700)
    mesh = make_mesh(MeshConfig(*shape))
    sharded = load_params(checkpoint, mesh)
    assert_same(sharded, jax.device_get(whole))
    kernel = sharded["layers"]["mlp"]["gate_proj"]["kernel"]
    assert kernel.addressable_shards[0].data.size * shape[1] * shape[2] == kernel.size
    write_params(tmp_path / "out", checkpoint.config, sharded, mesh, max_file=30_000)
    files = list((tmp_path / "out").glob("model-*.safetensors"))
    assert len(files) > 3
    for file in files:  # as readable as what is written beside them
        assert file.stat().st_mode == (tmp_path / "out" / "config.json").stat().st_mode
    assert_same(load_params(open_checkpoint(tmp_path / "out"), mesh), jax.device_get(whole))


def test_dtypes_are_chosen_and_bfloat16_survives(tmp_path: Path) -> None:
    import torch

    make_model("llama").to(torch.bfloat16).save_pretrained(tmp_path / "in")
    checkpoint = open_checkpoint(tmp_path / "in")
    mesh = one_device()
    half = load_params(checkpoint, mesh, lambda path: jnp.bfloat16)
    full = load_params(checkpoint, mesh)
    kernel = half["layers"]["mlp"]["up_proj"]["kernel"]
    assert kernel.dtype == jnp.bfloat16
    assert full["layers"]["mlp"]["up_proj"]["kernel"].dtype == jnp.float32
    np.testing.assert_array_equal(
        np.asarray(kernel, np.float32), full["layers"]["mlp"]["up_proj"]["kernel"]
    )
    write_params(tmp_path / "out", checkpoint.config, full, mesh, dtype="bfloat16")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {np.dtype(ml_dtypes.bfloat16)}
    original = load_file(tmp_path / "in" / "model.safetensors")
    for name, tensor in original.items():
        if not name.startswith("score."):  # two labels were made one
            np.testing.assert_array_equal(tensor, stored[name])


# Score heads of other projects


def rewrite(directory: Path, change: Any) -> None:
    """Applies a change to the tensors of a checkpoint of one file."""
    file = directory / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def test_a_head_with_one_label_is_its_logit(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    model = make_model("qwen2")
    weight = np.random.default_rng(0).normal(size=(1, HIDDEN)).astype(np.float32)

    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors["score.weight"] = weight
        tensors["score.bias"] = np.array([0.25], np.float32)

    rewrite(tmp_path, change)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.config.head == "classifier"
    tokens = random_tokens(np.random.default_rng(1), 1, 20)
    import torch

    with torch.no_grad():
        hidden = model.model(torch.tensor(tokens, dtype=torch.long)).last_hidden_state.numpy()
    ours = score_logits(checkpoint.config, load_params(checkpoint, one_device()), tokens)
    np.testing.assert_allclose(ours, (hidden @ weight.T)[..., 0] + 0.25, atol=1e-4)


def test_a_head_of_two_layers_is_read(tmp_path: Path) -> None:
    """Qwen2.5-Math-PRM: linear, ReLU, linear, two labels, its own class name."""
    make_checkpoint(tmp_path)
    model = make_model("qwen2")
    rng = np.random.default_rng(0)
    head = {
        "score.0.weight": rng.normal(size=(HIDDEN, HIDDEN)).astype(np.float32),
        "score.0.bias": rng.normal(size=HIDDEN).astype(np.float32),
        "score.2.weight": rng.normal(size=(2, HIDDEN)).astype(np.float32),
        "score.2.bias": rng.normal(size=2).astype(np.float32),
    }

    def change(tensors: dict[str, np.ndarray]) -> None:
        del tensors["score.weight"], tensors["score.bias"]
        tensors.update(head, **{"lm_head.weight": np.zeros((640, HIDDEN), np.float32)})

    rewrite(tmp_path, change)
    config_file = tmp_path / "config.json"
    config = json.loads(config_file.read_text())
    config["architectures"] = ["Qwen2ForProcessRewardModel"]
    config["auto_map"] = {"AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel"}
    config_file.write_text(json.dumps(config))
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.config.head == "mlp"
    params = load_params(checkpoint, make_mesh(MeshConfig(1, 4, 2)))
    import torch

    tokens = random_tokens(np.random.default_rng(1), 1, 20)
    with torch.no_grad():
        hidden = model.model(torch.tensor(tokens, dtype=torch.long)).last_hidden_state.numpy()
    dense = np.maximum(hidden @ head["score.0.weight"].T + head["score.0.bias"], 0)
    expected = difference(dense @ head["score.2.weight"].T + head["score.2.bias"])
    ours = score_logits(checkpoint.config, params, tokens)
    assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()
    with pytest.raises(InputError, match="orbax"):
        write_params(tmp_path / "out", checkpoint.config, params, one_device())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("architecture", ["qwen2", "qwen2, tied, one kv head"])
def test_two_tokens_of_a_language_model_are_a_score(architecture: str, tmp_path: Path) -> None:
    """Math-Shepherd: softmax over a good and a bad token, tied to the embeddings or not."""
    model = make_checkpoint(tmp_path, architecture, task="ForCausalLM")
    good, bad = 17, 401
    checkpoint = open_checkpoint(tmp_path, (good, bad))
    assert checkpoint.head == "two_tokens" and checkpoint.config.head == "value"
    tokens = random_tokens(np.random.default_rng(1), 2, 30)
    logits = logits_of(model, tokens)
    ours = score_logits(checkpoint.config, load_params(checkpoint, one_device()), tokens)
    assert np.abs(ours - (logits[..., good] - logits[..., bad])).max() < 1e-4
    assert open_checkpoint(tmp_path).head == "none"
    with pytest.raises(InputError, match="vocabulary"):
        open_checkpoint(tmp_path, (3, 640))


# Checkpoints that are not what they say


def test_tensors_that_do_not_belong_are_listed(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)

    def change(tensors: dict[str, np.ndarray]) -> None:
        del tensors["model.layers.1.mlp.up_proj.weight"]
        tensors["model.layers.0.extra.weight"] = np.zeros(3, np.float32)
        tensors["model.norm.weight"] = np.zeros(7, np.float32)
        tensors["model.layers.0.mlp.up_proj.weight"] = np.zeros((48, HIDDEN), np.int8)

    rewrite(tmp_path, change)
    with pytest.raises(WeightsError) as caught:
        open_checkpoint(tmp_path)
    text = str(caught.value)
    assert "missing: model.layers.1.mlp.up_proj.weight" in text
    assert "not expected: model.layers.0.extra.weight" in text
    assert "model.norm.weight is [7], config.json implies [32]" in text
    assert "model.layers.0.mlp.up_proj.weight is I8" in text


def test_a_checkpoint_of_other_depth_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("layer_types")
    for layers, problem in ((4, "missing"), (2, "not expected")):
        (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
        with pytest.raises(WeightsError, match=problem):
            open_checkpoint(tmp_path)


def test_files_that_are_torn_absent_or_elsewhere_are_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, max_shard_size="40KB")
    index = json.loads((tmp_path / INDEX_FILE).read_text())
    file = tmp_path / sorted(index["weight_map"].values())[0]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="damaged or cut off"):
        open_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        open_checkpoint(tmp_path)
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../../secret.safetensors")
    (tmp_path / INDEX_FILE).write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="elsewhere"):
        open_checkpoint(tmp_path)
    (tmp_path / INDEX_FILE).unlink()
    with pytest.raises(WeightsError, match="never pickled"):
        open_checkpoint(tmp_path)
