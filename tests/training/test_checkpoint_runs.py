"""Runs that start from a Hugging Face checkpoint, and what they are exported to."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from safetensors.numpy import load_file, save_file

from codeprm_jax import cli
from codeprm_jax.data.layout import Layout, StepInput
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.files import InputError, read_json, read_jsonl, write_json, write_jsonl
from codeprm_jax.model import peft
from codeprm_jax.model.checkpoint import INDEX_FILE, open_checkpoint
from codeprm_jax.model.config import LoraConfig, ModelConfig
from codeprm_jax.model.lora import ADAPTER
from codeprm_jax.model.weights import load_params
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.traces.dataset import Record
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig
from codeprm_jax.training.export import export
from codeprm_jax.training.loop import train
from codeprm_jax.training.model_directory import (
    ORBAX_PARAMS,
    PRM_CONFIG,
    Base,
    load_model,
    open_base,
)
from codeprm_jax.training.start import first_state, prepare_run
from codeprm_jax.training.step import make_optimizer
from tests.checkpoints import make_checkpoint
from tests.training.test_loop import signalling

LORA = LoraConfig(rank=4, alpha=8.0, dropout=0.1, targets=("q_proj", "v_proj", "down_proj"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, layout: Layout) -> Path:
    """A language model with a tokenizer, as people download it."""
    directory = tmp_path_factory.mktemp("base") / "TinyCoder"
    make_checkpoint(directory, "qwen2", task="ForCausalLM", max_shard_size="60KB")
    layout.tokenizer.save(directory)
    return directory


def config(base: Path, data_dir: Path, out: Path, lora: LoraConfig = LORA) -> TrainConfig:
    shape = open_checkpoint(base).config
    return TrainConfig(
        checkpoint=base,
        data=DataConfig(data_dir=data_dir, row_tokens=1024, step_tag="<|step|>"),
        model=replace(shape, lora=lora),
        training=TrainingConfig(
            out=out, epochs=2, batch_rows=8, evaluate_every=50, checkpoint_every=2
        ),
    )


@pytest.fixture(scope="module")
def adapted(base: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained adapters."""
    out = tmp_path_factory.mktemp("runs") / "adapted"
    summary = train(config(base, data_dir, out))
    assert summary.steps >= 4 and summary.stopped_by is None
    return out


@pytest.fixture(scope="module")
def tuned(base: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained everything."""
    out = tmp_path_factory.mktemp("runs") / "tuned"
    train(config(base, data_dir, out, LoraConfig()))
    return out


@pytest.fixture(scope="module")
def inputs(records: list[Record]) -> list[StepInput]:
    return [step_input(r) for r in records[:12]]


def scores_of(model: Path, inputs: list[StepInput]) -> list[np.ndarray]:
    return [s.scores for s in StepScorer(model).score(inputs)]


def assert_scores(ours: list[np.ndarray], theirs: list[np.ndarray], atol: float = 1e-5) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


def test_a_run_starts_from_the_checkpoints_weights(base: Path, data_dir: Path) -> None:
    settings = config(base, data_dir, Path("unused"), LoraConfig())
    mesh = make_mesh(MeshConfig(2, 2, 2))
    optimizer = make_optimizer(settings.training, 9)
    state = first_state(Base.of(base), settings.model, optimizer, 0, mesh)
    weights = load_params(open_checkpoint(base), make_mesh(devices=jax.devices()[:1]))
    ours = jax.device_get(state.params)
    head = ours.pop("score")
    jax.tree.map(np.testing.assert_array_equal, ours, jax.device_get(weights))
    assert 0 < np.abs(head["out"]["kernel"]).max() < 0.2


def test_checkpoints_of_adapters_hold_adapters_only(adapted: Path, base: Path) -> None:
    step = max((adapted / "checkpoints").iterdir(), key=lambda p: int(p.name))
    leaves = {
        ast.literal_eval(k) for k in read_json(step / "params" / "_METADATA")["tree_metadata"]
    }
    adapters = {path for path in leaves if path[-1] in ADAPTER}
    assert len(adapters) == 2 * len(LORA.targets)
    assert leaves - adapters == {("score", "out", "kernel")}
    assert read_json(adapted / "run.json")["num_trainable_params"] < 9000
    said = read_json(adapted / "model" / "prm_config.json")
    assert said["base"] == {"path": str(base.resolve()), "fingerprint": ANY}


def test_an_interrupted_run_of_adapters_goes_on_bit_for_bit(
    adapted: Path, base: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout included: what a step drops depends on the step."""
    out = tmp_path / "stopped"
    signalling(monkeypatch, at=3)
    assert train(config(base, data_dir, out)).stopped_by is not None
    monkeypatch.undo()
    train(config(base, data_dir, out))
    mesh = make_mesh()
    ours, reference = (load_model(run, mesh).params for run in (out, adapted))
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), ours, reference
    )


@pytest.mark.parametrize("form", ["hf", "peft", "orbax"])
@pytest.mark.parametrize("kind", ["adapted", "tuned"])
def test_an_export_gives_the_runs_scores(
    form: Any, kind: str, inputs: list[StepInput], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Path = request.getfixturevalue(kind)
    out = tmp_path / "exported"
    if (kind, form) == ("tuned", "peft"):
        with pytest.raises(InputError, match="use format hf"):
            export(run, out, form)
        assert not list(tmp_path.iterdir())
        return
    export(run, out, form, max_file=60_000)
    assert_scores(scores_of(out, inputs), scores_of(run, inputs))
    with pytest.raises(InputError, match="exists"):
        export(run, out, form)


def test_transformers_gives_the_runs_scores_from_an_export(
    adapted: Path, inputs: list[StepInput], tmp_path: Path
) -> None:
    """Tokens laid out by us, no code of ours in the model."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    export(adapted, tmp_path / "hf", "hf")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "hf").eval()
    assert model.config.id2label == {0: "wrong", 1: "right"}
    scorer = StepScorer(adapted)
    for item, scored in zip(inputs, scorer.score(inputs), strict=True):
        (example,) = scorer.layout.lay_out([item])
        with torch.no_grad():
            logits = model(torch.tensor(example.tokens[None].astype(np.int64))).logits
        theirs = logits.softmax(-1)[0, example.tag_positions, 1].numpy()
        np.testing.assert_allclose(scored.scores, theirs, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer("<|step|>", add_special_tokens=False).input_ids == [scorer.layout.tag]


def test_peft_gives_the_runs_scores_from_an_export(
    adapted: Path, base: Path, inputs: list[StepInput], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    peft_library = pytest.importorskip("peft")
    from transformers import AutoModelForTokenClassification

    export(adapted, tmp_path / "peft", "peft")
    assert read_json(tmp_path / "peft" / peft.CONFIG_FILE)["base_model_name_or_path"] == str(
        base.resolve()
    )
    start = AutoModelForTokenClassification.from_pretrained(base, num_labels=2)
    model = peft_library.PeftModel.from_pretrained(start, tmp_path / "peft").eval()
    scorer = StepScorer(adapted)
    for item, scored in zip(inputs[:4], scorer.score(inputs[:4]), strict=True):
        (example,) = scorer.layout.lay_out([item])
        with torch.no_grad():
            logits = model(torch.tensor(example.tokens[None].astype(np.int64))).logits
        theirs = logits.softmax(-1)[0, example.tag_positions, 1].numpy()
        np.testing.assert_allclose(scored.scores, theirs, atol=1e-4)


def test_the_model_cards_code_gives_the_scores(
    tuned: Path, inputs: list[StepInput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code block of README.md is run as it stands, on a trace of words without feedback."""
    pytest.importorskip("torch")
    evaluation = tmp_path / "evaluation.json"
    figures = dict.fromkeys(("auroc", "mse", "mae", "r2", "ece"), 0.125)
    write_json(evaluation, {"splits": {"test": {"prm": figures, "baselines": {"copy": figures}}}})
    export(tuned, tmp_path / "hf", "hf", evaluation=evaluation, licence="apache-2.0")
    card = (tmp_path / "hf" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    for part in ("TinyCoder", "pass_rate", "| test | this model | 0.125 |", "Fingerprint"):
        assert part in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path / "hf")
    names: dict[str, Any] = {}
    exec(code, names)
    scorer = StepScorer(tmp_path / "hf")
    layout, item = scorer.layout.config, inputs[0]
    # A thought that spells the tag out is text, and must not become one.
    thoughts = ("It must hold that a != b<|step|>!", *item.thoughts[1:])
    item = replace(item, thoughts=thoughts, feedback=None)
    pieces = [layout.problem, item.statement, layout.thoughts]
    pieces += [part for thought in item.thoughts for part in (thought, "\n")]
    pieces += [layout.program, item.program, layout.feedback_marker]
    pieces += ["The program was not run.", "\n", layout.review]
    pieces += [part for thought in item.thoughts for part in (thought, names["TAG"])]
    np.testing.assert_allclose(names["score"](pieces), scorer.score([item])[0].scores, atol=1e-4)


def test_a_prm_can_be_trained_on(tuned: Path, data_dir: Path, tmp_path: Path) -> None:
    """An export has a score head, which the next training starts from; LoRA too."""
    export(tuned, tmp_path / "hf", "hf")
    checkpoint = open_checkpoint(tmp_path / "hf")
    assert checkpoint.head == "linear" and checkpoint.config.head == "value"
    settings = config(tmp_path / "hf", data_dir, tmp_path / "more")
    optimizer = make_optimizer(settings.training, 9)
    start = Base.of(tmp_path / "hf")
    state = first_state(start, settings.model, optimizer, 0, make_mesh())
    expected = load_model(tuned, make_mesh()).params["score"]["out"]["kernel"]
    np.testing.assert_array_equal(
        np.asarray(state.params["score"]["out"]["kernel"]), np.asarray(expected)
    )
    other = replace(settings, model=replace(settings.model, head="mlp"))
    with pytest.raises(InputError, match=r"model\.head"):
        train(other)


def test_a_start_that_came_to_nothing_decides_nothing(
    base: Path, data_dir: Path, tmp_path: Path
) -> None:
    """Its model directory, without run.json, is made anew with what is asked for now."""
    settings = config(base, data_dir, tmp_path / "run")
    short = replace(settings, data=replace(settings.data, row_tokens=20))
    with pytest.raises(InputError, match="none of"):
        train(short)
    assert (tmp_path / "run" / "model" / PRM_CONFIG).is_file()
    layout, *_ = prepare_run(tmp_path / "run", settings, 0, lambda: pytest.fail("it has its own"))
    assert layout.config.max_tokens == 1024
    said = read_json(tmp_path / "run" / "model" / PRM_CONFIG)
    assert said["layout"]["max_tokens"] == 1024


def test_a_moved_run_goes_on_where_its_base_is_the_same(
    adapted: Path, base: Path, data_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(adapted, tmp_path / "moved")
    shutil.copytree(base, tmp_path / "base")
    settings = config(tmp_path / "base", data_dir, tmp_path / "moved")
    said = tmp_path / "moved" / "model" / "prm_config.json"
    gone = read_json(said)
    gone["base"]["path"] = str(tmp_path / "where it was")
    write_json(said, gone)
    assert train(settings).stopped_by is None
    with pytest.raises(InputError, match="not the checkpoint that training began from"):
        train(replace(settings, checkpoint=_others(base, tmp_path / "others")))
    other = replace(settings.training, learning_rate=0.5)
    with pytest.raises(InputError, match=r"other settings \(training.learning_rate\)"):
        train(replace(settings, training=other))


def _others(base: Path, folder: Path) -> Path:
    """A copy of a checkpoint with another matrix, as a merged adapter leaves it."""
    shutil.copytree(base, folder)
    index = read_json(folder / INDEX_FILE)
    name = "model.layers.2.self_attn.v_proj.weight"
    file = folder / index["weight_map"][name]
    tensors = load_file(file)
    tensors[name] = tensors[name] + 1e-3
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def test_a_base_is_told_from_one_with_an_adapter_merged(base: Path, tmp_path: Path) -> None:
    """A merge leaves norms and biases as they were."""
    _others(base, tmp_path / "other")
    known = Base.of(base)
    with pytest.raises(InputError, match="weights are others"):
        open_base(Base(tmp_path / "other", known.fingerprint))
    assert open_base(known).config == open_checkpoint(base).config


def test_what_does_not_fit_together_is_refused(
    base: Path, data_dir: Path, tmp_path: Path, adapted: Path
) -> None:
    settings = config(base, data_dir, tmp_path / "run")
    with pytest.raises(InputError, match=r"model\.num_layers: 2, 3"):
        train(replace(settings, model=replace(settings.model, num_layers=2)))
    with pytest.raises(InputError, match="--checkpoint"):
        replace(settings, checkpoint=None)
    with pytest.raises(InputError, match="nowhere does not exist"):
        train(replace(settings, checkpoint=tmp_path / "nowhere"))
    with pytest.raises(InputError, match="step tag"):
        train(replace(settings, data=replace(settings.data, step_tag="many tokens")))
    assert not (tmp_path / "run" / "model").exists()
    moved = tmp_path / "moved"
    shutil.copytree(adapted, moved)
    said = read_json(moved / "model" / "prm_config.json")
    said["base"]["path"] = str(tmp_path / "gone")
    write_json(moved / "model" / "prm_config.json", said)
    with pytest.raises(InputError, match="gone"):
        StepScorer(moved)
    # A base of the same shape with other weights would score, and be wrong.
    make_checkpoint(tmp_path / "gone", "qwen2", task="ForCausalLM", seed=1)
    with pytest.raises(InputError, match="not the checkpoint"):
        StepScorer(moved)
    shutil.rmtree(tmp_path / "gone")
    make_checkpoint(tmp_path / "gone", "qwen2", task="ForCausalLM")  # in one file instead of many
    assert StepScorer(moved).fingerprint == StepScorer(adapted).fingerprint


def test_scorers_tell_adapters_of_one_base_apart(adapted: Path, tmp_path: Path) -> None:
    """By the head, for all else that is read quickly may be frozen."""
    export(adapted, tmp_path / "one", "orbax")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / ORBAX_PARAMS)
    params = load_model(tmp_path / "one", make_mesh()).params
    params["score"]["out"]["kernel"] += 1e-3
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "other" / ORBAX_PARAMS, params)
    one, other = (StepScorer(tmp_path / name).fingerprint for name in ("one", "other"))
    assert one != other and one in StepScorer(adapted).fingerprint


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ([1], "format"),
        ({"layout": None}, "layout"),
        ({"layout": {"max_tokens": "many"}}, "max_tokens"),
        ({"layout": {"step_tag": 5}}, "step_tag"),
        ({"target": "luck"}, "target"),
        ({"tokens": ["+"]}, "tokens"),
        ({"base": "somewhere"}, "base"),
        ({"model": "large"}, "model"),
        ({"model": {"head_dim": 0}}, "head_dim"),
        ({"model": {"dtype": "float8"}}, "dtype"),
        ({"model": {"lora": {"alpha": "a"}}}, "alpha"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_damaged_prm_config_is_an_error_that_names_the_field(
    change: Any, named: str, adapted: Path, tmp_path: Path
) -> None:
    shutil.copytree(adapted / "model", tmp_path / "run" / "model")
    file = tmp_path / "run" / "model" / PRM_CONFIG
    said = read_json(file)
    write_json(file, said | change if isinstance(change, dict) else change)
    with pytest.raises(InputError, match=named):
        StepScorer(tmp_path / "run")


def test_damaged_weights_are_an_error(adapted: Path, tmp_path: Path) -> None:
    export(adapted, tmp_path / "orbax", "orbax")
    for path in (tmp_path / "orbax" / ORBAX_PARAMS).rglob("*"):
        if path.is_file() and "METADATA" not in path.name:
            path.write_bytes(path.read_bytes()[:7])
    with pytest.raises(InputError, match="damaged"):
        StepScorer(tmp_path / "orbax")


def test_an_orbax_export_keeps_the_dtype_of_its_training(adapted: Path, tmp_path: Path) -> None:
    shutil.copytree(adapted, tmp_path / "run")
    said = read_json(tmp_path / "run" / "model" / PRM_CONFIG)
    said["model"]["dtype"] = "bfloat16"
    write_json(tmp_path / "run" / "model" / PRM_CONFIG, said)
    export(tmp_path / "run", tmp_path / "orbax", "orbax")
    assert read_json(tmp_path / "orbax" / PRM_CONFIG)["model"]["dtype"] == "bfloat16"
    assert load_model(tmp_path / "orbax", make_mesh()).config.dtype == "float32"  # on a CPU


# Commands


def run(*arguments: str) -> int:
    return cli.run(arguments)


def test_score_appends_and_goes_on(
    adapted: Path, labelled: Path, inputs: list[StepInput], tmp_path: Path, tuned: Path
) -> None:
    out = tmp_path / "scores.jsonl"
    assert run("score", str(labelled), "--model", str(adapted), "--out", str(out)) == 0
    whole = list(read_jsonl(out))
    lines = out.read_text().splitlines(keepends=True)
    expected = scores_of(adapted, inputs)
    for record, scores in zip(whole, expected, strict=False):
        np.testing.assert_allclose(record["scores"], scores, atol=2e-6)
    out.write_text("".join(lines[:7]) + lines[7][:9])  # killed while it wrote
    assert run("score", str(labelled), "--model", str(adapted), "--out", str(out)) == 0
    assert list(read_jsonl(out)) == whole
    assert run("score", str(labelled), "--model", str(tuned), "--out", str(out)) == 2


def test_a_trace_that_does_not_fit_is_refused_and_counted(
    adapted: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = list(read_jsonl(labelled))[:3]
    records[1]["thoughts"][0] = "word " * 3000
    write_jsonl(tmp_path / "traces.jsonl", records)
    out = tmp_path / "scores.jsonl"
    command = ["score", str(tmp_path / "traces.jsonl"), "--model", str(adapted)]
    assert run(*command, "--out", str(out)) == 0
    scored = list(read_jsonl(out))
    assert [r["scores"] is None for r in scored] == [False, True, False]
    assert "limit" in scored[1]["error"]
    assert "2 of 3 traces scored, 1 refused" in capsys.readouterr().out


def test_export_and_adopt_say_what_is_wrong(
    adapted: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: str) -> str:
        assert run(*arguments) == 2
        return capsys.readouterr().err

    assert "does not exist" in fails("export", str(tmp_path / "x"), "--out", str(tmp_path / "y"))
    assert "no run directory" in fails("export", str(tmp_path), "--out", str(tmp_path / "y"))
    assert "codeprm adopt" in fails("export", str(base), "--out", str(tmp_path / "y"))
    assert run("export", str(adapted), "--out", str(tmp_path / "hf"), "--max-file-mib", "1") == 0
    assert "exists" in fails("export", str(adapted), "--out", str(tmp_path / "hf"))
    assert "exists" in fails("adopt", str(tmp_path / "hf"), "--style", "trl")
    inside = str(adapted / "model" / "x")
    for options, problem in (
        (("--out", inside), "inside"),
        (("--out", str(tmp_path / "z"), "--max-file-mib", "0"), "at least 1"),
        (("--out", str(tmp_path / "z"), "--licence", "a\nb"), "licence"),
        (("--out", str(tmp_path / "z"), "--evaluation", str(adapted / "run.json")), "evaluate"),
    ):
        assert problem in fails("export", str(adapted), *options)
    assert not list(tmp_path.glob(".*"))  # nothing half-made is left
    shutil.copytree(base, tmp_path / "lm")
    adopt = ("adopt", str(tmp_path / "lm"), "--style", "trl", "--step-tag", "<|step|>")
    assert "language model" in fails(*adopt)
    assert "belong together" in fails(*adopt, "--good-token", "a")
    assert "good token" in fails(*adopt, "--good-token", "two words", "--bad-token", "b")
    assert "the same" in fails(*adopt, "--good-token", "a", "--bad-token", "a")
    assert "step tag" in fails(*adopt[:-1], "")
    assert "max_tokens" in fails(*adopt, "--max-tokens", "0")
    for file in (tmp_path / "lm").glob("tokenizer*"):
        file.unlink()
    assert "no tokenizer" in fails(*adopt)
    assert "folder" in fails("score", "x.jsonl", "--model", str(adapted), "--out", str(tmp_path))


@pytest.fixture
def adopt(tmp_path: Path, layout: Layout) -> Callable[..., Path]:
    """A foreign checkpoint with our tokenizer, adopted in a style."""

    def make(task: str, *options: str) -> Path:
        directory = tmp_path / "foreign"
        make_checkpoint(directory, "llama", task=task)
        layout.tokenizer.save(directory)
        assert run("adopt", str(directory), *options) == 0
        return directory

    return make


def test_a_stepwise_prm_of_trl_is_scored(
    adopt: Callable[..., Path], inputs: list[StepInput]
) -> None:
    """Prompt, then steps each closed by a line feed, where TRL's labels are."""
    import torch
    from transformers import AutoModelForTokenClassification

    directory = adopt("ForTokenClassification", "--style", "trl")
    scorer = StepScorer(directory)
    item = StepInput("Sort a list.", ("Compare neighbours.", "Swap them."))
    newline = scorer.layout.tokenizer.encode(["\n"])[0]
    parts = scorer.layout.tokenizer.encode([item.statement, *item.thoughts])
    ids = parts[0] + parts[1] + newline + parts[2] + newline
    tags = [len(parts[0] + parts[1]), len(ids) - 1]
    model = AutoModelForTokenClassification.from_pretrained(directory).eval()
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits.softmax(-1)[0, tags, 1].numpy()
    (ours,) = scorer.score([item])
    np.testing.assert_allclose(ours.scores, theirs, atol=1e-5)


def test_a_stepwise_prm_begins_as_its_tokenizer_says(adopt: Callable[..., Path]) -> None:
    """Where there is a token that begins every sequence, TRL puts it before the prompt."""
    directory = adopt("ForTokenClassification", "--style", "trl")
    (directory / PRM_CONFIG).unlink()
    said = read_json(directory / "tokenizer_config.json")
    write_json(directory / "tokenizer_config.json", said | {"bos_token": "<|problem|>"})
    assert run("adopt", str(directory), "--style", "trl") == 0
    layout = StepScorer(directory).layout
    (example,) = layout.lay_out([StepInput("Sort.", ("Swap.",))])
    assert layout.tokenizer.decode(example.tokens.tolist()) == "<|problem|>Sort.Swap.\n"


def test_an_adapter_of_the_authors_layout_is_adopted(
    adapted: Path, base: Path, inputs: list[StepInput], tmp_path: Path
) -> None:
    """No prm_config.json, no tokenizer, `value_head` for a name, and a base that is elsewhere."""
    export(adapted, tmp_path / "peft", "peft")
    theirs = tmp_path / "release"
    theirs.mkdir()
    tensors = load_file(tmp_path / "peft" / peft.TENSORS_FILE)
    prefix = "base_model.model."
    del tensors[prefix + "score.bias"]
    tensors[prefix + "value_head.modules_to_save.weight"] = tensors.pop(prefix + "score.weight")[1:]
    save_file(tensors, theirs / peft.TENSORS_FILE)
    said = read_json(tmp_path / "peft" / peft.CONFIG_FILE)
    said |= {"task_type": None, "modules_to_save": ["value_head"]}
    write_json(theirs / peft.CONFIG_FILE, said | {"base_model_name_or_path": "xxx/Coder"})
    options = ("--style", "codeprm-release", "--step-tag", "<|step|>")
    assert run("adopt", str(theirs), *options) == 2  # the base is not at xxx/Coder
    assert run("adopt", str(theirs), *options, "--base", str(base)) == 0
    scorer = StepScorer(theirs)
    (example,) = scorer.layout.lay_out([StepInput("Sort.", ("Swap.",), "x = 1")])
    text = scorer.layout.tokenizer.decode(example.tokens.tolist())
    assert text == "Sort. \nSwap.\n \nx = 1 \nThe program was not run.\n \nSwap.<|step|>"
    ours = load_model(adapted, scorer.mesh).params
    again = load_model(theirs, scorer.mesh).params
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), again, ours)


def test_two_tokens_of_a_language_model_are_scored(adopt: Callable[..., Path]) -> None:
    """Steps on lines of their own, each closed by a tag; good against bad token there."""
    import torch
    from transformers import AutoModelForCausalLM

    directory = adopt(
        "ForCausalLM",
        *("--style", "math-shepherd", "--step-tag", "<|step|>"),
        *("--good-token", "+", "--bad-token", "-"),
    )
    scorer = StepScorer(directory)
    item = StepInput("Sort.", ("Compare.", "Swap."))
    (example,) = scorer.layout.lay_out([item])
    text = scorer.layout.tokenizer.decode(example.tokens.tolist())
    assert text == "<s>Sort. Compare.<|step|>\nSwap.<|step|>"
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    with torch.no_grad():
        logits = model(torch.tensor(example.tokens[None].astype(np.int64))).logits[0]
    good, bad = (scorer.layout.tokenizer.token_id(t, "token") for t in "+-")
    theirs = logits[example.tag_positions][:, [good, bad]].softmax(-1)[:, 0].numpy()
    np.testing.assert_allclose(scorer.score([item])[0].scores, theirs, atol=1e-5)


def test_old_model_directories_are_refused(adapted: Path, tmp_path: Path) -> None:
    shutil.copytree(adapted / "model", tmp_path / "run" / "model")
    file = tmp_path / "run" / "model" / "prm_config.json"
    for old in (1, 2):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"format": old}))
        with pytest.raises(InputError, match=f"format {old}"):
            StepScorer(tmp_path / "run")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 3, "model": {"x": 1}}))
    with pytest.raises(InputError, match="model: unknown x"):
        StepScorer(tmp_path / "run")


def test_a_vocabulary_too_large_for_the_table_is_refused(base: Path, data_dir: Path) -> None:
    assert isinstance(open_checkpoint(base).config, ModelConfig)
    settings = config(base, data_dir, base.parent / "unused")
    with pytest.raises(InputError, match="entries"):
        small = base.parent / "small"
        shutil.copytree(base, small)
        tokenizer = json.loads((small / "tokenizer.json").read_text())
        tokenizer["added_tokens"].append(
            dict(tokenizer["added_tokens"][0], id=700, content="<|extra|>")
        )
        (small / "tokenizer.json").write_text(json.dumps(tokenizer))
        train(replace(settings, checkpoint=small))
