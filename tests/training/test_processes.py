"""Invariants 4 and 5 over processes: two compute what one does, and take over from one another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from codeprm_jax.files import read_json
from codeprm_jax.sharding import MeshConfig
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.loop import train
from tests.conftest import TINY
from tests.launch.running import free_port
from tests.training.test_loop import config, losses_of, params_of, signalling

ROOT = Path(__file__).resolve().parents[2]


def settings(data_dir: Path, out: Path) -> TrainConfig:
    """On a mesh whose every axis has two devices; with two processes 'data' crosses them."""
    whole = config(data_dir, out, epochs=6, accumulate=2)
    return replace(whole, mesh=MeshConfig(2, 2, 2), model=TINY)


@pytest.fixture(scope="module")
def one_process(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "one"
    train(settings(data_dir, out))
    return out


class Job:
    """Two processes with four devices each."""

    def __init__(self, data_dir: Path, out: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "tests.training.process", address, "2"]
        self.processes = [
            subprocess.Popen(
                [*command, str(number), str(data_dir), str(out)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"XLA_FLAGS": ""},
            )
            for number in range(2)
        ]

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Raises AssertionError if a process ends, or too much time goes by, before it is so."""
        deadline = time.monotonic() + 200
        while not done():
            assert time.monotonic() < deadline and all(p.poll() is None for p in self.processes)
            time.sleep(0.02)

    def wait(self) -> list[str]:
        """The last line that each printed. Raises AssertionError if one did not exit with 0."""
        try:
            outputs = [p.communicate(timeout=200) for p in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        for process, (_, errors) in zip(self.processes, outputs, strict=True):
            assert process.returncode == 0, errors
        return [said.splitlines()[-1] for said, _ in outputs]  # Gloo writes there, too


def assert_same(out: Path, reference: Path) -> None:
    """Every step met the same examples: another batch would have another loss."""
    ours, theirs = losses_of(out), losses_of(reference)
    assert [s for s, _ in ours] == [s for s, _ in theirs]
    np.testing.assert_allclose([x for _, x in ours], [x for _, x in theirs], rtol=2e-5)
    for a, b in zip(params_of(out), params_of(reference), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.slow
def test_two_processes_take_over_from_one(
    one_process: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "taken-over"
    with monkeypatch.context() as patch:
        signalling(patch, at=3)
        assert train(settings(data_dir, out)).stopped_by == signal.SIGTERM
    begun = len(losses_of(out))
    said = Job(data_dir, out).wait()
    total = len(losses_of(one_process))
    assert 3 <= begun < total and said == [f"{total} steps, stopped at its end"] * 2
    assert_same(out, one_process)
    hardware = read_json(out / "run.json")["hardware"]
    assert (hardware["devices"], hardware["processes"]) == (8, 2)


@pytest.mark.slow
def test_a_checkpoint_that_one_of_two_cannot_read_is_passed_over_by_both(
    one_process: Path, data_dir: Path, tmp_path: Path
) -> None:
    """Damage in one process's part must not leave the other in a collective of its own."""
    out = tmp_path / "damaged"
    job = Job(data_dir, out)
    saved = out / "checkpoints"
    job.wait_until(lambda: bool(list(saved.glob("[2-9]"))) and len(losses_of(out)) >= 5)
    job.processes[0].send_signal(signal.SIGTERM)
    job.wait()
    newest = max(int(p.name) for p in saved.iterdir())
    folder = saved / str(newest) / "training" / "ocdbt.process_1" / "d"
    largest = max(folder.iterdir(), key=lambda p: p.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    Job(data_dir, out).wait()
    assert (out / "damaged" / str(newest)).is_dir()
    assert_same(out, one_process)


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_saves_in_both_and_one_process_goes_on(
    one_process: Path, data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    job = Job(data_dir, out)
    job.wait_until(lambda: (out / "metrics.jsonl").exists() and bool(losses_of(out)))
    began = time.monotonic()
    job.processes[1].send_signal(signal.SIGTERM)
    first, second = job.wait()
    assert time.monotonic() - began < 20
    assert first == second == f"{len(losses_of(out))} steps, stopped SIGTERM"
    assert len(losses_of(out)) < len(losses_of(one_process))
    assert jax.process_count() == 1
    train(settings(data_dir, out))
    assert_same(out, one_process)
