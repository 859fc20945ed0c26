"""Invariant 5: killed and resumed = uninterrupted, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from codeprm_jax.files import InputError, read_json, read_jsonl, write_json
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.traces.dataset import read_split
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


def params_of(run: Path) -> list[np.ndarray]:
    loaded = load_model(run, make_mesh())
    return [np.asarray(x) for x in jax.tree.leaves(loaded.params)]


def signalling(patch: pytest.MonkeyPatch, at: int) -> None:
    """SIGTERM arrives while the `at`-th batch is placed."""
    real, calls = loop.put_batch, []

    def put(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    patch.setattr(loop, "put_batch", put)


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
    signalling(monkeypatch, at=3)  # not a step with a checkpoint of its own
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


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_traces(
    data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "nan"
    settings = config(data_dir, out, learning_rate=1e30, loss="bce", evaluate_every=100)
    with pytest.raises(TrainingError, match=r"step \d+ diverged \(loss .*Started again"):
        train(settings)
    (path,) = (out / "diverged").iterdir()
    said = read_json(path)
    step = said["step"]
    assert path.name == f"step-{step}.json" and said["last_checkpoint"] < step
    assert [s for s, _ in losses_of(out)] == list(range(1, step))
    known = {r.trace.id for r in read_split(data_dir, "train")}
    named = [t["trace"] for row in said["rows"] for t in row]
    assert len(said["rows"]) == 8 and set(named) <= known and len(named) > 8
    assert (
        "nan" in said["figures"]["loss"]
        or "inf" in said["figures"]["loss"] + said["figures"]["grad_norm"]
    )


def test_parameters_that_are_not_finite_are_not_saved(data_dir: Path, tmp_path: Path) -> None:
    """The loss of the step that ruins them is still finite."""
    out = tmp_path / "ruined"
    settings = {"learning_rate": 1e39, "warmup_fraction": 0.0, "checkpoint_every": 1}
    with pytest.raises(TrainingError, match=r"step 1 diverged \(parameters"):
        train(config(data_dir, out, evaluate_every=100, **settings))
    assert not list((out / "checkpoints").glob("[0-9]*"))


@pytest.mark.parametrize("during", ["data", "saving"])
def test_sigterm_outside_the_loop_is_obeyed_too(
    during: str,
    finished: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the first step nothing is lost; while the last checkpoint is written, nor then."""
    out = tmp_path / "run"
    if during == "saving":
        shutil.copytree(finished, out)
        for step in sorted((out / "checkpoints").iterdir())[-1:]:
            shutil.rmtree(step)
    target = (loop, "read_split") if during == "data" else (loop.Checkpoints, "close")
    real: Any = getattr(*target)

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(*target, interrupted)
    summary = train(config(data_dir, out))
    if during == "data":
        assert (summary.steps, summary.stopped_by) == (0, signal.SIGTERM)
    else:
        total = read_json(finished / "run.json")["total_steps"]
        assert summary.steps == total and (out / "checkpoints" / str(total)).is_dir()


def test_a_transfer_that_is_not_named_is_an_error(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that stayed on the host would be copied anew, unseen, by every step."""
    monkeypatch.setattr(
        loop, "put_batch", lambda mesh, batch, *_: batch | {"stop": np.zeros(8, bool)}
    )
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        train(config(data_dir, tmp_path / "run"))


def test_figures_of_speed_are_what_they_say(finished: Path) -> None:
    records = [r for r in read_jsonl(finished / "metrics.jsonl") if r["split"] == "train"]
    for record in records:
        rates = ("tokens_per_second", "scored_steps_per_second")
        assert record["tokens"] / record["seconds"] == pytest.approx(record[rates[0]])
        assert record["steps"] / record["seconds"] == pytest.approx(record[rates[1]])
        assert record["tokens"] <= 8 * 1024


def test_a_profile_of_some_steps_is_written(data_dir: Path, tmp_path: Path) -> None:
    """In a process of its own: where libtpu was loaded without a TPU, its profiler crashes."""
    out = tmp_path / "run"
    code = (
        "import logging, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from tests.training.test_loop import config\n"
        "from codeprm_jax.training.loop import train\n"
        "logging.basicConfig(level=logging.INFO, force=True)\n"
        "kept = {'evaluate_every': 100}\n"
        f"settings = config(Path({str(data_dir)!r}), Path({str(out)!r}), **kept)\n"
        "profiled = replace(settings.training, profile_steps=(2, 3))\n"
        "train(replace(settings, training=profiled))\n"
        # It is no setting of the run: the same run may be profiled elsewhere, or not.
        "train(settings)\n"
    )
    # The devices and the schedule of `finished`, whose step is compiled already.
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "8"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, env=environment
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert list((out / "profile").rglob("*.xplane.pb"))
    assert "train step compiled in" in result.stderr


def test_a_validation_that_a_stop_left_out_is_made_up_for(
    finished: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM arrives with a validation due: it saves at once, and the next start validates."""
    out = tmp_path / "stopped"
    signalling(monkeypatch, at=4)
    assert train(config(data_dir, out)).steps == 4
    monkeypatch.undo()
    assert not [r for r in read_jsonl(out / "metrics.jsonl") if r["split"] == "validation"]
    train(config(data_dir, out))
    ours, theirs = (read_jsonl(run / "metrics.jsonl") for run in (out, finished))
    for split in ("train", "validation"):
        assert [_figures(r) for r in ours if r["split"] == split] == [
            _figures(r) for r in theirs if r["split"] == split
        ]


def _figures(record: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the clock."""
    return {k: v for k, v in record.items() if "second" not in k}


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
