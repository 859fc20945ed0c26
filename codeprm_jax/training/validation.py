"""Validation: the scores of all steps of packed data, and their metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax.sharding import Mesh

from codeprm_jax.data.layout import View
from codeprm_jax.data.packing import unpack_row
from codeprm_jax.data.pipeline import PackedData
from codeprm_jax.files import RunError
from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.sharding import constrain
from codeprm_jax.training.metrics import regression_metrics
from codeprm_jax.training.step import local_rows, put_batch

Forward = Callable[..., jax.Array]


class TrainingError(RunError):
    """The run cannot go on; the message says where it stopped and what was saved."""


def make_forward(model: ModelConfig, packed: bool = True) -> Forward:
    """Jitted (params, tokens, segment_ids, positions) -> scores: float32[batch, length].

    Every device, and so every process, gets all scores. `packed=False` promises rows of one example
    each.
    """

    @jax.jit
    def forward(
        params: decoder.Params, tokens: jax.Array, segment_ids: jax.Array, positions: jax.Array
    ) -> jax.Array:
        logits = decoder.apply(model, params, tokens, segment_ids, positions, packed=packed)
        return constrain(jax.nn.sigmoid(logits), None, None)

    return forward


def validate(
    forward: Forward,
    params: decoder.Params,
    views: Mapping[View, PackedData],
    mesh: Mesh,
    batch_rows: int,
) -> dict[View, dict[str, float]]:
    """`evaluate` of the same traces in each view."""
    return {v: evaluate(forward, params, data, mesh, batch_rows) for v, data in views.items()}


def evaluate(
    forward: Forward, params: decoder.Params, packed: PackedData, mesh: Mesh, batch_rows: int
) -> dict[str, float]:
    """`regression_metrics` of the scores of all steps that count in the loss.

    Raises TrainingError if a score is not finite.
    """
    scores: dict[int, np.ndarray] = {}
    rows = packed.plan.rows
    wanted = local_rows(mesh, batch_rows)
    for begin in range(0, len(rows), batch_rows):
        # The last batch is filled up with the first rows, so that one shape is compiled.
        indices = [i % len(rows) for i in range(begin, begin + batch_rows)]
        batch = [packed.row(indices[i]) for i in wanted]
        stacked = {
            k: np.stack([b[k] for b in batch]) for k in ("tokens", "segment_ids", "positions")
        }
        values = jax.device_get(forward(params, **put_batch(mesh, stacked, batch_rows)))
        for row, index in zip(values, indices, strict=True):
            members = rows[index]
            steps = unpack_row(row, [packed.examples[i] for i in members])
            scores.update(zip(members, steps, strict=True))
    order, data = range(len(packed.examples)), packed.data
    values = np.concatenate([scores[i] for i in order])
    if not np.isfinite(values).all():
        raise TrainingError(
            "validation scores are not finite: the parameters have diverged; lower "
            "training.learning_rate in a new run"
        )
    counts = np.concatenate([data.weights[i] for i in order]) > 0
    targets = np.concatenate([data.targets[i] for i in order])
    reachable = np.concatenate([data.reachable[i] for i in order])
    return regression_metrics(targets[counts], values[counts], reachable[counts])
