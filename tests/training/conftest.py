"""One uninterrupted run, which the tests of stopping and of damage compare with."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeprm_jax.training.loop import train
from tests.training.test_loop import config


@pytest.fixture(scope="session")
def finished(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a checkpoint every two steps, of which the last two are kept. Nobody changes it."""
    out = tmp_path_factory.mktemp("run") / "whole"
    summary = train(config(data_dir, out))
    assert summary.steps >= 4 and summary.stopped_by is None
    assert set(summary.metrics) == {"mse", "mae", "r2", "bce", "ece", "auroc"}
    return out
