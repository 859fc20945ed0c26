"""Invariant 3 for the scorer: batched = single = the plain forward."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeprm_jax.data.layout import ExampleTooLongError, StepInput
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.row_scores import length_buckets
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.traces.dataset import Record
from codeprm_jax.training.model_directory import load_model


@pytest.fixture(scope="module")
def plain_scores(model: Path) -> Callable[[StepInput], np.ndarray]:
    """One unpadded forward, no bucket and no batch."""
    loaded = load_model(model, make_mesh(devices=jax.devices()[:1]))
    forward = jax.jit(partial(decoder.apply, loaded.config))

    def score(item: StepInput) -> np.ndarray:
        (example,) = loaded.directory.layout.lay_out([item])
        at = np.arange(example.length, dtype=np.int32)[None]
        logits = forward(loaded.params, example.tokens[None], at * 0 + 1, at)
        return np.asarray(jax.nn.sigmoid(logits))[0, example.tag_positions]

    return score


def test_scores_are_those_of_the_plain_forward(
    plain_scores: Callable[[StepInput], np.ndarray], scorer: StepScorer, records: list[Record]
) -> None:
    inputs = [step_input(r) for r in records[:60:12]]
    for item, scored in zip(inputs, scorer.score(inputs), strict=True):
        assert scored.scores.shape == (len(item.thoughts),)
        np.testing.assert_allclose(scored.scores, plain_scores(item), atol=1e-5)
        assert scored.tokens == scorer.layout.lay_out([item])[0].length


@given(data=st.data())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_batch_gives_the_scores_of_single_traces(
    data: st.DataObject, scorer: StepScorer, records: list[Record]
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(records[:40]), max_size=20))
    inputs = [step_input(r) for r in chosen]
    together = scorer.score(inputs)
    scorer.forget()
    for item, scored in zip(inputs, together, strict=True):
        np.testing.assert_allclose(scored.scores, scorer.score([item])[0].scores, atol=1e-5)


def test_sharded_scorer_gives_the_same(
    model: Path, scorer: StepScorer, records: list[Record]
) -> None:
    inputs = [step_input(r) for r in records[:7]]
    sharded = StepScorer(model, make_mesh(MeshConfig(2, 2, 2)))
    for ours, reference in zip(sharded.score(inputs), scorer.score(inputs), strict=True):
        np.testing.assert_allclose(ours.scores, reference.scores, atol=1e-5)


def test_buckets_end_at_the_limit() -> None:
    assert list(length_buckets(1024)) == [128, 192, 256, 384, 512, 768, 1024]
    assert list(length_buckets(600)) == [128, 192, 256, 384, 512, 600]
    assert list(length_buckets(100)) == [100]


def test_bad_input_is_refused(scorer: StepScorer, tmp_path: Path) -> None:
    with pytest.raises(ExampleTooLongError):
        scorer.score([StepInput("s", ("word " * 3000,))])
    assert scorer.score([]) == []
    with pytest.raises(InputError, match="no run directory"):
        StepScorer(tmp_path)


def test_attention_is_chosen_and_refused_where_it_cannot_run(
    model: Path, scorer: StepScorer
) -> None:
    for name in ("cudnn", "splash", "pallas_gpu"):
        with pytest.raises(InputError, match="not on cpu"):
            StepScorer(model, attention=name, reuse=False)  # type: ignore[arg-type]
    item = StepInput("Sort.", ("Compare neighbours.", "Swap them."))
    for reuse in (True, False):
        named = StepScorer(model, attention="blockwise", reuse=reuse).score([item])[0].scores
        np.testing.assert_allclose(named, scorer.score([item])[0].scores, atol=1e-5)
