"""A tiny trained model, shared by the tests of scoring."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.sharding import make_mesh
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig
from codeprm_jax.training.loop import train
from tests.conftest import TINY


@pytest.fixture(scope="session")
def run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "run"
    train(
        TrainConfig(
            data=DataConfig(data_dir=data_dir, vocab_size=640, row_tokens=1024),
            model=TINY,
            training=TrainingConfig(out=out, epochs=1, batch_rows=8, learning_rate=1e-2),
        )
    )
    return out


@pytest.fixture(scope="session")
def scorer(run: Path) -> StepScorer:
    return StepScorer(run, make_mesh(devices=jax.devices()[:1]))
