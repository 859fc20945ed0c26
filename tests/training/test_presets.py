"""Every preset in configs/: its shape is the published one, and its step can be built."""

from __future__ import annotations

import math
import re
from pathlib import Path

import jax
import pytest

from codeprm_jax.commands.train import load_preset, prepare
from codeprm_jax.model import attention, lora
from codeprm_jax.model.shapes import QWEN25_CODER
from codeprm_jax.sharding import batch_divisor, make_mesh
from codeprm_jax.training.config import TrainConfig
from codeprm_jax.training.model_directory import abstract_params
from codeprm_jax.training.step import (
    abstract_batch,
    abstract_state,
    make_optimizer,
    make_train_step,
)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PRESETS = sorted(set(CONFIGS.glob("*.py")) - set(CONFIGS.glob("search_*.py")))

# Parameters as published, the language-model head of the untied sizes not counted, and without
# embeddings.
PUBLISHED = {
    "0.5B": (494_032_768, 0.36e9),
    "1.5B": (1_543_714_304, 1.31e9),
    "3B": (3_085_938_688, 2.77e9),
    "7B": (7_615_616_512 - 152064 * 3584, 6.53e9),
    "14B": (14_770_033_664 - 152064 * 5120, 13.1e9),
    "32B": (32_763_876_352 - 152064 * 5120, 31.0e9),
}


@pytest.mark.parametrize("size", PUBLISHED)
def test_shapes_are_the_published_ones(size: str) -> None:
    config = QWEN25_CODER[size]
    total, without_embeddings = PUBLISHED[size]
    assert config.num_params() == total + config.hidden_size  # the value head
    inner = total - config.vocab_size * config.hidden_size
    assert inner == pytest.approx(without_embeddings, rel=0.02)


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_a_presets_step_can_be_traced(path: Path) -> None:
    """Shapes, shardings and attention of the whole step, at its real size, with no array made."""
    preset = load_preset(path)
    assert f"codeprm train configs/{path.name}" in path.read_text()
    rows = preset.training.batch_rows
    mesh = make_mesh(preset.mesh, jax.devices()[:rows])
    attention.check_config(preset.model, mesh, packed=True)
    assert rows % batch_divisor(mesh) == 0
    optimizer = make_optimizer(preset.training, 100)
    state = abstract_state(mesh, preset.model, optimizer)
    frozen = lora.divide(preset.model, abstract_params(preset.model, mesh))[1]
    batch = abstract_batch(mesh, rows, preset.data.row_tokens)
    step = make_train_step(mesh, preset.model, preset.training, optimizer)
    with jax.set_mesh(mesh):
        after, metrics = jax.eval_shape(step, state, frozen, batch)
    assert metrics["loss"].shape == ()
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
    # Every large parameter is split over all of the mesh that holds parameters.
    for leaf in jax.tree.leaves(state.params):
        if leaf.size > 1e7:
            shard = math.prod(leaf.sharding.shard_shape(leaf.shape))
            assert shard * mesh.shape["fsdp"] * mesh.shape["tensor"] == leaf.size


def test_the_lora_preset_is_the_papers() -> None:
    preset = load_preset(next(p for p in PRESETS if p.stem == "qwen25_coder_7b_lora"))
    assert isinstance(preset, TrainConfig)
    adapters = preset.model.lora
    assert (adapters.rank, adapters.alpha, adapters.dropout) == (8, 32.0, 0.1)
    assert adapters.targets == ("q_proj", "v_proj")
    assert preset.training.learning_rate == 1e-4 and preset.training.epochs == 1
    assert preset.data.label.target == "pass_rate" and preset.training.loss == "mse"
    assert preset.model.num_trainable_params() == 2_526_720


def test_options_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    """Under 60 in all; each has a test that shows what it changes."""
    with pytest.raises(SystemExit):
        prepare(["--help"], "codeprm train")
    options = set(re.findall(r"--([a-z0-9_.-]+)", capsys.readouterr().out)) - {"help"}
    assert {"checkpoint", "data.views.program", "training.accumulate", "mesh.fsdp"} <= options
    assert 40 < len(options) < 60, sorted(options)
