"""Checkpoints: damaged ones are passed over, the best is kept, and no kill at any moment hurts."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from codeprm_jax.files import InputError, append_jsonl, read_jsonl
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.training.checkpoints import Checkpoints
from codeprm_jax.training.loop import train
from codeprm_jax.training.model_directory import load_model, load_model_directory
from codeprm_jax.training.step import TrainState, abstract_state, make_optimizer
from tests.training.test_loop import config, losses_of, params_of


def steps_of(run: Path) -> list[int]:
    return sorted(int(p.name) for p in (run / "checkpoints").glob("[0-9]*") if p.name.isdecimal())


def abstract_of(run: Path) -> TrainState:
    model = load_model_directory(run).model
    assert model is not None
    training = config(Path(), run).training
    return abstract_state(make_mesh(), model, make_optimizer(training, 10))


def restore(run: Path) -> TrainState | None:
    checkpoints = Checkpoints(run, 2, "mse")
    try:
        return checkpoints.restore(abstract_of(run))
    finally:
        checkpoints.close()


def numbers_of(item: Path) -> list[bytes]:
    """As Orbax reads them."""
    with ocp.StandardCheckpointer() as checkpointer:
        return [np.asarray(x).tobytes() for x in jax.tree.leaves(checkpointer.restore(item))]


def flip_one_bit(item: Path) -> None:
    """One that counts: Orbax reads another number without a word.

    The files also hold what was overwritten while they were saved, and what was changed there is
    no damage.
    """
    whole = numbers_of(item)
    for path in sorted(item.glob("ocdbt.process_*/d/*"), key=lambda p: -p.stat().st_size):
        content = path.read_bytes()
        for place in range(len(content) // 4, len(content), len(content) // 4 or 1):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with contextlib.suppress(Exception):
                if numbers_of(item) != whole:
                    return
            path.write_bytes(content)
    raise AssertionError(f"no bit of {item} counts")


def cut_numbers(checkpoint: Path) -> None:
    for path in (checkpoint / "params").glob("ocdbt.process_*/d/*"):
        if path.stat().st_size > 1000:
            os.truncate(path, path.stat().st_size // 2)


def flip_a_bit_of_parameters(checkpoint: Path) -> None:
    flip_one_bit(checkpoint / "params")


def flip_a_bit_of_moments(checkpoint: Path) -> None:
    flip_one_bit(checkpoint / "training")


def empty_manifests(checkpoint: Path) -> None:
    for path in checkpoint.rglob("manifest*"):
        path.write_bytes(b"")


def lose_item(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "training")


def garble_metadata(checkpoint: Path) -> None:
    (checkpoint / "params" / "_METADATA").write_text('{"tree_metadata": 3')


@pytest.mark.parametrize(
    "damage",
    [
        cut_numbers,
        flip_a_bit_of_parameters,
        flip_a_bit_of_moments,
        empty_manifests,
        lose_item,
        garble_metadata,
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over(
    damage: Callable[[Path], None],
    finished: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    *_, before, newest = steps_of(run)
    damage(run / "checkpoints" / str(newest))
    with caplog.at_level(logging.WARNING, "codeprm_jax"):
        state = restore(run)
    assert state is not None and int(state.step) == before
    assert f"checkpoint {newest} of {run} is damaged" in caplog.text
    assert steps_of(run)[-1] == before and (run / "damaged" / str(newest)).is_dir()


def test_a_run_goes_on_from_before_the_damage_to_the_same_end(
    finished: Path, data_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    cut_numbers(run / "checkpoints" / str(steps_of(run)[-1]))
    with pytest.raises(InputError, match=r"damaged.*name another: .*@\d+"):
        load_model(run, make_mesh())
    assert load_model(f"{run}@{steps_of(run)[0]}", make_mesh()).step == steps_of(run)[0]
    train(config(data_dir, run))
    assert losses_of(run) == losses_of(finished)
    for ours, reference in zip(params_of(run), params_of(finished), strict=True):
        np.testing.assert_array_equal(ours, reference)


def test_only_damaged_checkpoints_are_an_error_that_loses_nothing(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for step in steps_of(run):
        lose_item(run / "checkpoints" / str(step))
    with pytest.raises(InputError, match="none of the checkpoints"):
        restore(run)
    assert steps_of(run) == steps_of(finished)


def test_the_best_checkpoint_is_kept_and_can_be_named(
    finished: Path, data_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    # Falls and rises again: with this rate the last validation is not the best.
    settings = config(data_dir, run, epochs=8, evaluate_every=1, keep_checkpoints=1)
    train(settings)
    found = {r["step"]: r["mse"] for r in read_jsonl(run / "metrics.jsonl") if "mse" in r}
    best = min(found, key=lambda s: (found[s], s))
    assert steps_of(run) == sorted({best, max(found)})
    assert load_model(f"{run}@best", make_mesh()).step == best
    assert load_model(f"{run}@{best}", make_mesh()).step == best
    assert load_model(run, make_mesh()).step == load_model(f"{run}@last", make_mesh()).step
    with pytest.raises(InputError, match="no checkpoint of step 999"):
        load_model(f"{run}@999", make_mesh())
    with pytest.raises(InputError, match="best, last or a step"):
        load_model(f"{run}@newest", make_mesh())
    # Another validation, as an older try may have left: its step has no checkpoint and counts not.
    append_jsonl(run / "metrics.jsonl", [{"step": 10**6, "split": "validation", "mse": 0.0}])
    checkpoints = Checkpoints(run, 1, "mse")
    assert checkpoints.best_step == best
    checkpoints.close()


def test_a_checkpoint_moves_to_another_mesh(finished: Path) -> None:
    """Moments and step as well as parameters, which `test_loop` holds."""
    whole = restore(finished)
    model, training = load_model_directory(finished).model, config(Path(), finished).training
    assert model is not None and whole is not None
    mesh = make_mesh(MeshConfig(2, 2, 2))
    checkpoints = Checkpoints(finished, 2, "mse")
    moved = checkpoints.restore(abstract_state(mesh, model, make_optimizer(training, 10)))
    checkpoints.close()
    assert any(not x.is_fully_replicated for x in jax.tree.leaves(moved))
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), moved, whole
    )


# The storm. Each try is a process of its own that is killed without warning; a server that has
# imported everything forks them, so that twenty of them take two minutes and not ten.


def run_until_killed(settings: Any) -> None:
    jax.config.update("jax_num_cpu_devices", 8)
    with open(os.devnull, "w") as quiet:
        os.dup2(quiet.fileno(), 2)
    train(settings)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServerContext]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["codeprm_jax.training.loop", "tests.training.test_loop"])
    yield context


def start(server: ForkServerContext, settings: Any) -> Any:
    process = server.Process(target=run_until_killed, args=(settings,), daemon=True)
    process.start()
    return process


def kill(process: Any) -> None:
    process.kill()
    process.join(30)
    assert process.exitcode in (0, -signal.SIGKILL)


def wait_for(process: Any, done: Callable[[], bool], seconds: float = 120) -> bool:
    """Whether `done` came true before the process ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        if not process.is_alive():
            return False
        time.sleep(0.001)
    raise AssertionError(f"nothing happened in {seconds} seconds")


def unfinished_save(run: Path) -> bool:
    return any("tmp" in p.name for p in (run / "checkpoints").glob("*"))


@pytest.mark.slow
def test_killed_in_the_middle_of_a_checkpoint(
    finished: Path, data_dir: Path, tmp_path: Path, server: ForkServerContext
) -> None:
    run = tmp_path / "killed"
    process = start(server, config(data_dir, run))
    assert wait_for(process, lambda: unfinished_save(run))
    kill(process)
    assert unfinished_save(run), "the checkpoint was complete before the kill"
    train(config(data_dir, run))
    assert losses_of(run) == losses_of(finished)
    for ours, reference in zip(params_of(run), params_of(finished), strict=True):
        np.testing.assert_array_equal(ours, reference)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_storm_of_twenty_kills_ends_as_no_kill_does(
    data_dir: Path, tmp_path: Path, server: ForkServerContext
) -> None:
    """Some kills hit the start, some a step, some a save or a validation."""
    settings = {"epochs": 24, "evaluate_every": 5, "checkpoint_every": 1}
    calm, run = tmp_path / "calm", tmp_path / "storm"
    # Neither checkpoints nor validations change what is learned.
    train(config(data_dir, calm, epochs=24, evaluate_every=1000, checkpoint_every=1000))
    total = losses_of(calm)[-1][0]
    draw = random.Random(0)
    reached, kills, moments = 0, 0, []
    while kills < 20:
        process = start(server, config(data_dir, run, **settings))
        goal = reached + draw.choice([0, 0, 1, 1, 2])
        assert goal < total, "the run ends before the storm"

        def there(goal: int = goal) -> bool:
            done = [s for s in steps_of(run) if s >= goal] if run.exists() else []
            return bool(done) or goal == 0

        assert wait_for(process, there)
        time.sleep(draw.random() * (3.0 if goal == reached else 0.1))
        kill(process)
        kills += 1
        moments.append(reached)
        reached = max(steps_of(run), default=0) if (run / "checkpoints").exists() else 0
    assert reached > 5 and len(set(moments)) > 5  # it got on between the kills
    train(config(data_dir, run, **settings))
    assert losses_of(run) == losses_of(calm)
    for ours, reference in zip(params_of(run), params_of(calm), strict=True):
        np.testing.assert_array_equal(ours, reference)
