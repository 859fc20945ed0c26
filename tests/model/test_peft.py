from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from codeprm_jax.files import InputError
from codeprm_jax.model import decoder, lora
from codeprm_jax.model.config import PROJECTIONS, LoraConfig, ModelConfig
from codeprm_jax.model.peft import (
    CONFIG_FILE,
    PICKLE_FILE,
    TENSORS_FILE,
    read_adapter,
    write_adapter,
)
from tests.conftest import TINY, random_tokens

SMALL = replace(TINY, lora=LoraConfig(rank=3, alpha=12.0, dropout=0.1))
KEY = "base_model.model.model.layers.{}.self_attn.{}_proj.lora_{}{}.weight"


def random_trained(config: ModelConfig, seed: int = 0) -> lora.Tree:
    """Adapters and head with nothing at zero, where it would prove nothing."""
    rng = np.random.default_rng(seed)
    abstract = jax.eval_shape(lambda: decoder.create(config, 0))
    trained, _ = lora.divide(config, abstract)
    return jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32) * 0.3, trained)


def write(directory: Path, config: ModelConfig = SMALL, seed: int = 0) -> lora.Tree:
    trained = random_trained(config, seed)
    write_adapter(directory, config, trained, "some/base")
    return trained


def assert_equal(ours: lora.Tree, expected: lora.Tree) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)


def change_config(directory: Path, **fields: Any) -> None:
    path = directory / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_tensors(
    directory: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
) -> None:
    path = directory / TENSORS_FILE
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


# Parity with PEFT


@dataclass(frozen=True)
class Base:
    """A random language model on disk, and its decoder's parameters as ours."""

    directory: Path
    config: ModelConfig
    params: decoder.Params

    def logits(self, config: ModelConfig, trained: lora.Tree) -> np.ndarray:
        """Our logits of TOKENS with these adapters and this head."""
        params = lora.join(self.params, trained)
        at = np.tile(np.arange(TOKENS.shape[1], dtype=np.int32), (len(TOKENS), 1))
        return np.asarray(decoder.apply(config, params, TOKENS, np.ones_like(TOKENS), at))

    def classifier(self) -> Any:
        """The base as PEFT's users load it: a token classifier with a random head."""
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(self.directory, num_labels=2).eval()


TOKENS = random_tokens(np.random.default_rng(5), 2, 40)


def torch_logits(model: Any) -> np.ndarray:
    """l1 - l0 of TOKENS."""
    import torch

    with torch.no_grad():
        two = model(input_ids=torch.tensor(TOKENS, dtype=torch.long)).logits
    assert two.dtype == torch.float32
    return (two[..., 1] - two[..., 0]).numpy()


def assert_same_scores(ours: np.ndarray, theirs: np.ndarray) -> None:
    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z.astype(np.float64)))

    assert np.abs(sigmoid(ours) - sigmoid(theirs)).max() < 1e-5
    assert np.abs(ours - theirs).max() < 1e-4
    assert sigmoid(ours).std() > 0.01  # the scores differ, or agreement would say little


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    torch = pytest.importorskip("torch", reason="parity with PEFT needs the dev extra")
    pytest.importorskip("peft", reason="parity with PEFT needs the dev extra")
    import transformers

    config = replace(TINY, family=request.param)
    name = {"qwen2": "Qwen2", "llama": "Llama"}[request.param]
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{name}ForCausalLM")(
        getattr(transformers, f"{name}Config")(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope.theta},
            rms_norm_eps=config.rms_norm_eps,
        )
    )
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    directory = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(directory)
    weights = {k: v.detach().numpy() for k, v in theirs.model.state_dict().items()}
    params = jax.eval_shape(lambda: decoder.create(config, 0))
    params["embed_tokens"]["embedding"] = weights["embed_tokens.weight"]
    params["norm"]["scale"] = weights["norm.weight"]
    del params["score"]
    leaf = {"kernel": "weight", "bias": "bias", "scale": "weight"}

    def stacked(path: tuple, _: jax.ShapeDtypeStruct) -> np.ndarray:
        *module, kind = (k.key for k in path)
        name = ".".join([*module, leaf[kind]])
        arrays = [weights[f"layers.{i}.{name}"] for i in range(config.num_layers)]
        return np.stack([a.T if a.ndim == 2 else a for a in arrays])

    params["layers"] = jax.tree_util.tree_map_with_path(stacked, params["layers"])
    return Base(directory, config, params)


@pytest.mark.parametrize("head", ["value", "classifier"])
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), PROJECTIONS])
def test_peft_reads_what_we_write(
    base: Base, tmp_path: Path, head: Any, targets: tuple[str, ...]
) -> None:
    from peft import PeftModel, PeftModelForTokenClassification

    adapters = LoraConfig(rank=3, alpha=7.0, dropout=0.2, targets=targets)
    config = replace(base.config, head=head, lora=adapters)
    trained = random_trained(config)
    write_adapter(tmp_path, config, trained, str(base.directory))
    model = PeftModel.from_pretrained(base.classifier(), tmp_path).eval()
    assert isinstance(model, PeftModelForTokenClassification)
    ours = base.logits(config, trained)
    assert_same_scores(ours, torch_logits(model))
    # And neither the adapters nor the head are too small to matter.
    untrained = jax.tree.map(np.zeros_like, trained["layers"])
    assert np.abs(ours - base.logits(config, {**trained, "layers": untrained})).max() > 0.1


def test_our_files_are_those_that_peft_writes(base: Base, tmp_path: Path) -> None:
    import peft

    config = replace(base.config, lora=LoraConfig(rank=3, alpha=7.0, targets=PROJECTIONS))
    write_adapter(tmp_path / "ours", config, random_trained(config), str(base.directory))
    model = peft.PeftModel.from_pretrained(base.classifier(), tmp_path / "ours")
    model.save_pretrained(tmp_path / "theirs")
    files = [tmp_path / n / TENSORS_FILE for n in ("ours", "theirs")]
    assert files[0].read_bytes() == files[1].read_bytes()

    read = peft.LoraConfig.from_pretrained(tmp_path / "ours").to_dict()
    expected = peft.LoraConfig(
        task_type="TOKEN_CLS",
        r=3,
        lora_alpha=7,
        lora_dropout=0.1,
        target_modules=list(PROJECTIONS),
        modules_to_save=["score"],
        base_model_name_or_path=str(base.directory),
        inference_mode=True,
    ).to_dict()
    assert read == expected
    written = json.loads((tmp_path / "ours" / CONFIG_FILE).read_text())
    assert written["lora_alpha"] == 7 and isinstance(written["lora_alpha"], int)


@pytest.mark.parametrize(
    "targets",
    [
        ["q_proj", "v_proj"],
        ["self_attn.q_proj", "mlp.down_proj", "o_proj"],
        list(PROJECTIONS),
        [f"layers.{i}.self_attn.k_proj" for i in range(TINY.num_layers)],
    ],
    ids=["q, v", "with paths", "all", "each layer by name"],
)
@pytest.mark.parametrize("head", [None, ["score"]], ids=["default", "score"])
def test_we_read_what_peft_writes(
    base: Base, tmp_path: Path, targets: list[str], head: list[str] | None
) -> None:
    import peft
    import torch

    torch.manual_seed(1)
    wanted = peft.LoraConfig(
        # Without a task type PEFT saves what modules_to_save names, and writes null.
        task_type=None if head else "TOKEN_CLS",
        r=5,
        lora_alpha=11,
        lora_dropout=0.3,
        target_modules=targets,
        modules_to_save=head,
        init_lora_weights=False,  # B at zero would prove nothing
    )
    model = peft.get_peft_model(base.classifier(), wanted).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(tmp_path)
    config, trained = read_adapter(tmp_path, base.config)
    names = {t.split(".")[-1] for t in targets}
    assert config.lora == LoraConfig(5, 11.0, 0.3, tuple(p for p in PROJECTIONS if p in names))
    assert config == replace(base.config, head="classifier", lora=config.lora)
    assert_same_scores(base.logits(config, trained), torch_logits(model))


def test_the_authors_layout_gives_the_scores_of_peft(base: Base, tmp_path: Path) -> None:
    """A language model with a bias-free value head beside it, adapted without a task type."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base.directory)
    model.value_head = torch.nn.Linear(base.config.hidden_size, 1, bias=False)
    wanted = peft.LoraConfig(
        r=8,
        lora_alpha=32,
        lora_dropout=0.1,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["value_head"],
        init_lora_weights="gaussian",
    )
    wrapped = peft.get_peft_model(model, wanted).eval()
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        hidden = model.model(torch.tensor(TOKENS, dtype=torch.long)).last_hidden_state
        theirs = model.value_head(hidden)[..., 0].numpy()
    wrapped.save_pretrained(tmp_path)
    assert "base_model.model.value_head.weight" in load_file(tmp_path / TENSORS_FILE)
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["task_type"] is None
    config, trained = read_adapter(tmp_path, base.config)
    assert config.head == "value" and config.lora == LoraConfig(8, 32.0, 0.1)
    assert_same_scores(base.logits(config, trained), theirs)


# Both directions, without PEFT


@pytest.mark.parametrize("head", ["value", "classifier"])
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama", "mistral"])
def test_a_round_trip_changes_no_bit(tmp_path: Path, family: Any, head: Any) -> None:
    adapters = LoraConfig(rank=2, alpha=1.7, dropout=0.05, targets=("down_proj", "q_proj"))
    # Nothing here is square, so that a matrix that is not transposed cannot pass.
    shape = replace(TINY, family=family, head_dim=10, num_layers=3)
    config = replace(shape, head=head, lora=adapters)
    written = write(tmp_path / "first", config)
    read, trained = read_adapter(tmp_path / "first", shape)
    assert_equal(trained, written)
    assert read == replace(config, lora=replace(adapters, targets=("q_proj", "down_proj")))
    write_adapter(tmp_path / "second", read, trained, "some/base")
    for file in (CONFIG_FILE, TENSORS_FILE):
        contents = [(tmp_path / n / file).read_bytes() for n in ("first", "second")]
        assert contents[0] == contents[1]
    assert sorted(p.name for p in (tmp_path / "first").iterdir()) == [CONFIG_FILE, TENSORS_FILE]


def test_jax_arrays_are_written_as_numpys_are(tmp_path: Path) -> None:
    trained = write(tmp_path / "numpy")
    write_adapter(tmp_path / "jax", SMALL, jax.tree.map(jax.numpy.asarray, trained), "some/base")
    for file in (CONFIG_FILE, TENSORS_FILE):
        assert (tmp_path / "numpy" / file).read_bytes() == (tmp_path / "jax" / file).read_bytes()


@pytest.mark.parametrize("bias", [0.0, -0.0, 0.5])
def test_a_bias_of_zero_is_written_again_as_it_was(tmp_path: Path, bias: float) -> None:
    config = replace(SMALL, head="classifier")
    trained = random_trained(config)
    trained["score"]["out"]["bias"] = np.array([bias], np.float32)
    write_adapter(tmp_path / "first", config, trained, "some/base")
    read, again = read_adapter(tmp_path / "first", TINY)
    write_adapter(tmp_path / "second", read, again, "some/base")
    contents = [(tmp_path / n / TENSORS_FILE).read_bytes() for n in ("first", "second")]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("infix", ["", ".modules_to_save", ".modules_to_save.default", ".default"])
@pytest.mark.parametrize("adapter", ["", ".default"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_authors_layout_in_its_variants(
    tmp_path: Path, infix: str, adapter: str, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    kind = np.dtype(getattr(ml_dtypes, dtype) if dtype == "bfloat16" else dtype)

    def tensor(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(kind)

    tensors = {f"base_model.model.value_head{infix}.weight": tensor(1, 32)}
    for layer in range(2):
        for name, outputs in (("q", 32), ("v", 16)):
            tensors[KEY.format(layer, name, "A", adapter)] = tensor(8, 32)
            tensors[KEY.format(layer, name, "B", adapter)] = tensor(outputs, 8)
    save_file(tensors, tmp_path / TENSORS_FILE)
    fields = {"peft_type": "LORA", "task_type": None, "modules_to_save": ["value_head"]}
    sizes = {"r": 8, "lora_alpha": 32, "lora_dropout": 0.1, "target_modules": ["v_proj", "q_proj"]}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(fields | sizes))
    config, trained = read_adapter(tmp_path, TINY)
    assert config == replace(TINY, head="value", lora=LoraConfig(8, 32.0, 0.1))
    assert jax.tree.structure(trained) == jax.tree.structure(random_trained(config))
    a = trained["layers"]["self_attn"]["v_proj"]["lora_a"]
    assert a.dtype == np.float32 and a.shape == (2, 32, 8)
    expected = tensors[KEY.format(1, "v", "A", adapter)].T.astype(np.float32)
    np.testing.assert_array_equal(a[1], expected)
    head = tensors[f"base_model.model.value_head{infix}.weight"]
    np.testing.assert_array_equal(
        trained["score"]["out"]["kernel"][:, 0], head[0].astype(np.float32)
    )


def heads() -> dict[str, tuple[str | None, dict[str, list], str, list, list | None]]:
    """Name -> (task, stored head of hidden size 2, head, kernel, bias)."""
    return {
        "two labels": (
            "TOKEN_CLS",
            {"weight": [[1, 2], [4, 8]], "bias": [3, 10]},
            *("classifier", [3, 6], [7]),
        ),
        "two labels, zero biases": (
            "TOKEN_CLS",
            {"weight": [[1, 2], [4, 8]], "bias": [0, 0]},
            *("classifier", [3, 6], [0]),
        ),
        "two labels, first zero": (
            "TOKEN_CLS",
            {"weight": [[0, 0], [4, 8]], "bias": [0, 0]},
            *("value", [4, 8], None),
        ),
        "two labels, no bias": ("SEQ_CLS", {"weight": [[1, 2], [4, 8]]}, "value", [3, 6], None),
        "one label": (
            "TOKEN_CLS",
            {"weight": [[4, 8]], "bias": [0]},
            *("classifier", [4, 8], [0]),
        ),
        "one label, no bias": (None, {"weight": [[4, 8]]}, "value", [4, 8], None),
    }


@pytest.mark.parametrize("name", heads())
def test_heads_become_one_logit(tmp_path: Path, name: str) -> None:
    task, stored, head, kernel, bias = heads()[name]
    shape = replace(TINY, hidden_size=2)
    write(tmp_path, replace(shape, lora=SMALL.lora))
    scores = {f"base_model.model.score.{k}": np.array(v, np.float32) for k, v in stored.items()}
    change_tensors(
        tmp_path, lambda tensors: {k: v for k, v in tensors.items() if ".score." not in k} | scores
    )
    change_config(tmp_path, task_type=task)
    config, trained = read_adapter(tmp_path, shape)
    assert config.head == head
    out = trained["score"]["out"]
    assert out["kernel"].tolist() == [[k] for k in kernel]
    assert out["bias"].tolist() == bias if bias else set(out) == {"kernel"}


# Refusals


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("task_type", "QUESTION_ANS"),
        ("use_dora", True),
        ("use_rslora", True),
        ("use_qalora", True),
        ("lora_bias", True),
        ("fan_in_fan_out", True),
        ("bias", "all"),
        ("bias", "lora_only"),
        ("rank_pattern", {"q_proj": 4}),
        ("alpha_pattern", {"q_proj": 4}),
        ("layers_to_transform", 0),
        ("layers_to_transform", [0]),
        ("layer_replication", [[0, 2], [1, 2]]),
        ("exclude_modules", ["layers.0.self_attn.q_proj"]),
        ("trainable_token_indices", [3]),
        ("target_parameters", ["experts.gate"]),
        ("init_lora_weights", "pissa"),
        ("megatron_config", {"tensor_parallel": 2}),
        ("alora_invocation_tokens", [1, 2]),
        ("kasa_config", {"beta": 1e-4}),
        ("invented_tomorrow", 0.5),
        ("modules_to_save", ["score", "embed_tokens"]),
        ("modules_to_save", "lm_head"),
        ("target_modules", ".*q_proj"),
        ("target_modules", None),
        ("target_modules", []),
        ("target_modules", ["q_proj", "score"]),
        ("target_modules", ["q_proj", "mlp.v_proj"]),
        ("r", 0),
        ("r", True),
        ("r", None),
        ("lora_alpha", "12"),
        ("lora_alpha", float("nan")),
        ("lora_dropout", 1.0),
        ("lora_dropout", None),
    ],
)
def test_what_is_not_plain_lora_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    write(tmp_path)
    change_config(tmp_path, **{field: value})
    with pytest.raises(InputError, match=field) as refusal:
        read_adapter(tmp_path, TINY)
    assert str(tmp_path / CONFIG_FILE) in str(refusal.value)


def test_fields_of_later_versions_may_be_empty(tmp_path: Path) -> None:
    trained = write(tmp_path)
    change_config(
        tmp_path,
        **{f"invented_{i}": v for i, v in enumerate((None, False, [], {}, ""))},
        **{"eva_config": {"rho": 2.0}, "init_lora_weights": "eva", "qalora_group_size": 16},
        target_modules=["layers.0.self_attn.q_proj", "v_proj", "model.layers.1.self_attn.q_proj"],
    )
    assert_equal(read_adapter(tmp_path, TINY)[1], trained)


def test_all_linear_means_every_projection(tmp_path: Path) -> None:
    config = replace(SMALL, lora=replace(SMALL.lora, targets=PROJECTIONS))
    trained = write(tmp_path, config)
    change_config(tmp_path, target_modules="all-linear")
    read, again = read_adapter(tmp_path, TINY)
    assert read == config
    assert_equal(again, trained)


Q0 = KEY.format(0, "q", "A", "")
SCORE = "base_model.model.score.weight"
BIAS = "base_model.model.score.bias"
TENSOR_CASES: dict[str, tuple[Callable[[dict], dict], tuple[str, ...]]] = {
    "missing": (lambda t: {k: v for k, v in t.items() if k != Q0}, ("missing", Q0)),
    "extra": (
        lambda t: t | {"base_model.model.lm_head.weight": t[SCORE]},
        ("not expected", "lm_head.weight"),
    ),
    "magnitudes": (
        lambda t: t | {Q0.replace("lora_A.weight", "lora_magnitude_vector"): t[BIAS]},
        ("not expected", "lora_magnitude_vector"),
    ),
    "misshapen": (lambda t: t | {Q0: t[Q0].T.copy()}, ("misshapen", Q0, "[32, 3]", "[3, 32]")),
    "three labels": (
        lambda t: t | {SCORE: np.zeros((3, 32), np.float32)},
        ("misshapen", "score.weight", "[3, 32]"),
    ),
    "bias lost": (lambda t: {k: v for k, v in t.items() if k != BIAS}, ("missing", BIAS)),
    "no head": (
        lambda t: {k: v for k, v in t.items() if ".score." not in k},
        ("no score head", "modules_to_save"),
    ),
    "two heads": (
        lambda t: t | {"base_model.model.value_head.weight": t[SCORE]},
        ("not expected", "value_head"),
    ),
    "twice": (lambda t: t | {Q0.replace("lora_A", "lora_A.default"): t[Q0]}, ("twice", Q0)),
    "integers": (
        lambda t: t | {Q0: t[Q0].astype(np.int8)},
        ("dtype", Q0, "I8", "F32"),
    ),
    "doubles": (lambda t: t | {Q0: t[Q0].astype(np.float64)}, ("dtype", Q0, "F64")),
    "another prefix": (
        lambda t: {k.replace("model.model", "model"): v for k, v in t.items()},
        ("missing", "not expected", "base_model.model.layers.0"),
    ),
    "more layers": (
        lambda t: t | {KEY.format(2, "q", "A", ""): t[Q0]},
        ("3 layers", "base has 2"),
    ),
    "fewer layers": (
        lambda t: {k: v for k, v in t.items() if "layers.1." not in k},
        ("1 layers", "base has 2", "missing"),
    ),
}


@pytest.mark.parametrize("name", TENSOR_CASES)
def test_every_tensor_is_accounted_for(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    change, expected = TENSOR_CASES[name]
    change_tensors(tmp_path, change)
    with pytest.raises(InputError) as refusal:
        read_adapter(tmp_path, TINY)
    for text in (str(tmp_path / TENSORS_FILE), *expected):
        assert text in str(refusal.value)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    for other in (replace(TINY, hidden_size=64), replace(TINY, num_kv_heads=1)):
        with pytest.raises(InputError, match="misshapen"):
            read_adapter(tmp_path, other)


@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_torn_files_are_refused(tmp_path: Path, kept: int) -> None:
    for file in (CONFIG_FILE, TENSORS_FILE):
        write(tmp_path / file)
        path = tmp_path / file / file
        path.write_bytes(path.read_bytes().rstrip()[:kept])
        with pytest.raises(InputError, match=file):
            read_adapter(tmp_path / file, TINY)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / TENSORS_FILE).rename(tmp_path / PICKLE_FILE)
    with pytest.raises(InputError, match=r"never read.*save_pretrained"):
        read_adapter(tmp_path, TINY)
    (tmp_path / PICKLE_FILE).unlink()
    with pytest.raises(InputError, match=f"{TENSORS_FILE} does not exist"):
        read_adapter(tmp_path, TINY)
    with pytest.raises(InputError, match="no adapter"):
        read_adapter(tmp_path / "nowhere", TINY)
    (tmp_path / CONFIG_FILE).write_text("[]")
    with pytest.raises(InputError, match="peft_type"):
        read_adapter(tmp_path, TINY)


@pytest.mark.parametrize("fails_at", [1, 2], ids=["tensors", "config"])
def test_an_interrupted_write_leaves_no_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """An old config must not describe new tensors, nor half of them."""
    write(tmp_path, seed=1)
    synced: list[int] = []

    def full_disk(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == fails_at:
            raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path, replace(SMALL, lora=LoraConfig(rank=4)), seed=2)
    assert [p.name for p in tmp_path.iterdir()] == [TENSORS_FILE]
    with pytest.raises(InputError, match=CONFIG_FILE):
        read_adapter(tmp_path, TINY)


def test_what_peft_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--format orbax"):
        write(tmp_path, replace(SMALL, head="mlp"))
    with pytest.raises(InputError, match="--format hf"):
        write(tmp_path, TINY)
    trained = random_trained(SMALL)
    with pytest.raises(ValueError, match=r"layers\.self_attn\.q_proj\.lora_a"):
        write_adapter(tmp_path, replace(SMALL, num_layers=1), trained, "some/base")
    assert not list(tmp_path.iterdir())
