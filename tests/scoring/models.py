"""Small PRMs with random weights whose scores are well spread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from codeprm_jax.data.layout import Example, Layout, LayoutConfig
from codeprm_jax.data.packing import pack_row
from codeprm_jax.data.tokenizer import Tokenizer
from codeprm_jax.model import decoder
from codeprm_jax.model.config import Dtype, ModelConfig
from codeprm_jax.sharding import make_mesh
from codeprm_jax.training.model_directory import ORBAX_PARAMS, load_model, write_prm_config
from codeprm_jax.training.validation import make_forward
from tests.conftest import TINY

ALL_VIEWS = LayoutConfig(views=("thoughts", "program", "feedback"), max_tokens=256)


def save_random_model(
    directory: Path,
    tokenizer: Tokenizer,
    config: ModelConfig = TINY,
    layout: LayoutConfig = ALL_VIEWS,
    change: Callable[[decoder.Params], decoder.Params] = lambda params: params,
) -> Path:
    """An Orbax model directory. `change` edits the parameters before they are written."""
    directory.mkdir(parents=True)
    tokenizer.save(directory)
    write_prm_config(directory, layout, "success_rate", config)
    params = jax.jit(lambda: decoder.create(config, 3))()
    params["score"]["out"]["kernel"] = 60 * params["score"]["out"]["kernel"]
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((directory / ORBAX_PARAMS).resolve(), change(params))
    return directory


def plain_scorer(
    directory: Path, dtype: Dtype | None = None
) -> tuple[Layout, Callable[[Example], np.ndarray]]:
    """The model's layout, and its scores by forward passes of one example, padded to the limit."""
    model = load_model(directory, make_mesh(devices=jax.devices()[:1]), dtype)
    forward, layout = make_forward(model.config), model.directory.layout

    def score(example: Example) -> np.ndarray:
        row = pack_row([example], layout.config.max_tokens)
        arrays = [jnp.asarray(row[k][None]) for k in ("tokens", "segment_ids", "positions")]
        return np.asarray(forward(model.params, *arrays))[0, example.tag_positions]

    return layout, score
