"""Invariant 5: killed and resumed = uninterrupted, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from codeprm_jax.files import InputError, read_json, read_jsonl, write_json
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.training import loop
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig
from codeprm_jax.training.loop import train
from codeprm_jax.training.model_directory import load_model
from codeprm_jax.training.validation import TrainingError
from tests.conftest import TINY


def config(data_dir: Path, out: Path, **training: object) -> TrainConfig:
    settings = {"epochs": 4, "batch_rows": 8, "evaluate_every": 4, "checkpoint_every": 2}
    return TrainConfig(
        data=DataConfig(data_dir=data_dir, vocab_size=640, row_tokens=1024),
        model=TINY,
        training=TrainingConfig(out=out, **(settings | training)),  # type: ignore[arg-type]
        mesh=MeshConfig(),
    )


@pytest.fixture(scope="module")
def finished(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "whole"
    summary = train(config(data_dir, out))
    assert summary.steps >= 4 and summary.stopped_by is None
    assert set(summary.metrics) == {"mse", "mae", "r2", "bce", "ece", "auroc"}
    return out


def params_of(run: Path) -> list[np.ndarray]:
    loaded = load_model(run, make_mesh())
    return [np.asarray(x) for x in jax.tree.leaves(loaded.params)]


def losses_of(run: Path) -> list[tuple[int, float]]:
    records = read_jsonl(run / "metrics.jsonl")
    return [(r["step"], r["loss"]) for r in records if r["split"] == "train"]


def test_run_directory_holds_what_it_should(finished: Path) -> None:
    facts = read_json(finished / "run.json")
    shape = ModelConfig.from_json(facts["model"])
    assert facts["num_params"] == shape.num_params()
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 32 + 2 * 16 + 2 * 32  # of TINY, by hand
    attention = 6 * 2 * 32 * 1024
    assert shape.flops_per_token(1024) == 6 * (2 * layer + 2 * 32) + attention
    assert facts["flops_per_token"] == shape.flops_per_token(1024)
    assert facts["versions"]["jax"] == jax.__version__
    steps = [s for s, _ in losses_of(finished)]
    assert steps == list(range(1, facts["total_steps"] + 1))
    assert list((finished / "tensorboard").iterdir())


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted_bit_for_bit(
    finished: Path, data_dir: Path, tmp_path: Path
) -> None:
    """SIGKILL at some step after the first checkpoint, in a process of its own."""
    out = tmp_path / "killed"
    total = read_json(finished / "run.json")["total_steps"]
    code = (
        "import jax; jax.config.update('jax_num_cpu_devices', 8)\n"
        "from pathlib import Path\n"
        "from tests.training.test_loop import config\n"
        "from codeprm_jax.training.loop import train\n"
        f"train(config(Path({str(data_dir)!r}), Path({str(out)!r})))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and process.poll() is None:
            done = list((out / "checkpoints").glob("[0-9]*")) if out.exists() else []
            if done:
                break
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.kill()
        process.wait()
    train(config(data_dir, out))
    assert losses_of(out) == losses_of(finished)
    assert len(losses_of(out)) == total
    for ours, reference in zip(params_of(out), params_of(finished), strict=True):
        np.testing.assert_array_equal(ours, reference)


def test_sigterm_saves_and_the_next_start_goes_on(
    finished: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "stopped"
    real = loop.put_batch
    calls = []

    def signalling(*args: object) -> object:
        calls.append(1)
        if len(calls) == 3:  # not a step with a checkpoint of its own
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "put_batch", signalling)
    assert threading.current_thread() is threading.main_thread()
    summary = train(config(data_dir, out))
    assert summary.stopped_by == signal.SIGTERM and summary.steps in (3, 4)
    monkeypatch.undo()
    assert train(config(data_dir, out)).stopped_by is None
    assert losses_of(out) == losses_of(finished)
    for ours, reference in zip(params_of(out), params_of(finished), strict=True):
        np.testing.assert_array_equal(ours, reference)


def test_a_finished_run_stays_as_it_is(finished: Path, data_dir: Path) -> None:
    before = losses_of(finished)
    summary = train(config(data_dir, finished))
    assert losses_of(finished) == before and summary.metrics["mse"] > 0


def test_other_settings_are_refused_by_name(finished: Path, data_dir: Path) -> None:
    with pytest.raises(InputError, match=r"training\.learning_rate"):
        train(config(data_dir, finished, learning_rate=0.5))


def test_another_dataset_in_the_same_folder_is_refused(data_dir: Path, tmp_path: Path) -> None:
    settings = config(data_dir, tmp_path)
    write_json(tmp_path / "run.json", {"config": settings.to_json(), "data": 0})
    with pytest.raises(InputError, match="another dataset"):
        train(settings)


def test_a_loss_that_is_not_finite_stops_the_run(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite|loss is"):
        train(config(data_dir, tmp_path / "nan", learning_rate=1e30, loss="bce"))


def test_missing_data_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="codeprm build"):
        train(config(tmp_path / "nowhere", tmp_path / "run"))


def test_batch_must_fit_the_mesh(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiple of"):
        train(config(data_dir, tmp_path / "run", batch_rows=6))


def test_attention_that_cannot_do_it_is_refused_at_start(data_dir: Path, tmp_path: Path) -> None:
    settings = config(data_dir, tmp_path / "run")
    with pytest.raises(InputError, match="cudnn"):
        train(replace(settings, model=replace(TINY, attention="cudnn")))
    assert not (tmp_path / "run").exists()


def test_checkpoint_restores_onto_another_mesh(finished: Path) -> None:
    whole = params_of(finished)
    mesh = make_mesh(MeshConfig(2, 2, 2))
    sharded = load_model(finished, mesh).params
    assert any(not x.is_fully_replicated for x in jax.tree.leaves(sharded))
    for ours, reference in zip(jax.tree.leaves(sharded), whole, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), reference)


def test_prm_config_says_layout_and_target(finished: Path) -> None:
    said = json.loads((finished / "model" / "prm_config.json").read_text())
    assert said["target"] == "pass_rate"
    assert said["layout"]["step_tag"] == "<|step|>" and said["layout"]["max_tokens"] == 1024
