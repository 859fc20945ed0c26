"""A tiny model and its scorer, shared by the tests of scoring."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from codeprm_jax.data.layout import Layout
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.sharding import make_mesh
from tests.scoring.models import save_random_model


@pytest.fixture(scope="session")
def model(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the layout that training chooses where it is not told another."""
    directory = tmp_path_factory.mktemp("scored") / "model"
    return save_random_model(directory, layout.tokenizer, layout=layout.config)


@pytest.fixture(scope="session")
def scorer(model: Path) -> StepScorer:
    return StepScorer(model, make_mesh(devices=jax.devices()[:1]))
