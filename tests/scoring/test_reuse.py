"""Invariant 3 with reuse: whatever was asked before, and with what, scores are the plain ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.data.layout import VIEWS, Example, Layout, StepInput, View
from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.model.config import LoraConfig, ModelConfig
from codeprm_jax.scoring import tree_forward, tree_scores
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.statistics import ScoringStatistics
from codeprm_jax.scoring.tree_forward import (
    TOKENS_PER_TAG,
    TreeForward,
    _forward,
    context_lengths,
    row_lengths,
)
from codeprm_jax.sharding import MeshConfig, make_mesh
from codeprm_jax.traces.trace import Failure, Feedback
from codeprm_jax.training.step import put_batch
from tests.conftest import TINY
from tests.scoring.models import plain_scorer, save_random_model

Plain = Callable[[Example], np.ndarray]

STATEMENTS = ("Sort a list.", "Add two numbers; each has at most nine digits.", "")
THOUGHTS = ("Compare neighbours.", "Swap them.", "Use a dict from value to index.", "x", "")
PROGRAMS = ("def f(a):\n    return sorted(a)\n", "def f(a, b):\n    return a + b\n")
FEEDBACK = (
    None,
    Feedback(3, 3),
    Feedback(1, 2, (Failure("0", "WA", "[3, 1]", "[1, 3]", "[3, 1]", ""),)),
)
inputs = st.builds(
    StepInput,
    st.sampled_from(STATEMENTS),
    st.lists(st.sampled_from(THOUGHTS), min_size=1, max_size=5).map(tuple),
    st.sampled_from(PROGRAMS),
    st.sampled_from(FEEDBACK),
)


def one_device() -> Any:
    return make_mesh(devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def directory(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random") / "model", layout.tokenizer)


@pytest.fixture(scope="module")
def plain(directory: Path) -> tuple[Layout, Plain]:
    return plain_scorer(directory)


@pytest.fixture(scope="module", params=[0, 150, 4000], ids="{} cached tokens".format)
def scorer(request: pytest.FixtureRequest, directory: Path) -> StepScorer:
    """With a cache that is absent, too small for the inputs drawn here, or large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_scores, "MOST_CACHED_TOKENS", request.param + 1)
        return StepScorer(directory, one_device(), tokens_per_batch=256)


def check(
    plain: tuple[Layout, Plain], scorer: StepScorer, items: list[StepInput], view: View
) -> None:
    layout, score = plain
    for found, example in zip(scorer.score(items, view), layout.lay_out(items, view), strict=True):
        assert found.scores.shape == (len(example.tag_positions),)
        np.testing.assert_allclose(found.scores, score(example), atol=1e-5, rtol=0)


@given(calls=st.lists(st.tuples(st.lists(inputs, max_size=6), st.sampled_from(VIEWS)), max_size=4))
@settings(max_examples=30, deadline=None)
def test_any_history_gives_the_plain_scores(
    calls: list[tuple[list[StepInput], View]], plain: tuple[Layout, Plain], scorer: StepScorer
) -> None:
    """The scorer lives through all examples: its cache and memo are in whatever state they are."""
    for items, view in calls:
        check(plain, scorer, items, view)


def test_scores_are_well_spread(plain: tuple[Layout, Plain]) -> None:
    """Else the tests here would prove little."""
    layout, score = plain
    items = [StepInput(s, (t, u)) for s in STATEMENTS for t in THOUGHTS for u in THOUGHTS]
    scores = np.concatenate([score(e) for e in layout.lay_out(items, "thoughts")])
    assert scores.std() > 0.15 and scores.min() < 0.3 and scores.max() > 0.7


def test_what_is_asked_again_is_not_computed(directory: Path) -> None:
    scorer = StepScorer(directory, one_device())
    items = [StepInput("Sort.", ("Compare.", *(t,)), PROGRAMS[0], FEEDBACK[2]) for t in THOUGHTS]
    first = scorer.score(items)
    done = scorer.statistics.computed_tokens
    again = scorer.score(items[::-1])[::-1]
    assert scorer.statistics.computed_tokens == done
    assert scorer.statistics.remembered_traces == len(items)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    scorer.forget()
    scorer.score(items)
    assert scorer.statistics.computed_tokens == 2 * done


def test_a_rewritten_thought_costs_only_what_follows(directory: Path) -> None:
    """In the view without program and feedback."""
    scorer = StepScorer(directory, one_device())
    scorer.score([StepInput("Sort.", ("Compare.", "Swap.", "Stop."))], "thoughts")
    before = scorer.statistics.computed_tokens
    scorer.score([StepInput("Sort.", ("Compare.", "Swap.", "Go on."))], "thoughts")
    (thought,) = scorer.layout.tokenizer.encode(["Go on."])
    assert scorer.statistics.computed_tokens - before == len(thought) + 1
    assert scorer.statistics.reused_tokens > 0


def test_the_cache_stays_within_its_bytes(directory: Path) -> None:
    token = 2 * 2 * TINY.num_layers * TINY.num_kv_heads * TINY.head_dim * 4 // 2
    scorer = StepScorer(directory, one_device(), cache_mib=1)
    limit = (1 << 20) // token
    for n in range(400):
        scorer.score(
            [StepInput(f"Problem {n}: " + "sort the list " * 8, ("Compare.",))], "thoughts"
        )
        assert scorer.statistics.cached_tokens <= limit
    assert scorer.statistics.cached_tokens > limit // 2


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2), (1, 2, 4)])
def test_sharded_scorers_give_the_same(
    directory: Path, plain: tuple[Layout, Plain], shape: tuple[int, int, int]
) -> None:
    scorer = StepScorer(directory, make_mesh(MeshConfig(*shape)), tokens_per_batch=1024)
    items = [
        StepInput(s, tuple(THOUGHTS[i:] + THOUGHTS[:i])[: 1 + i], PROGRAMS[i % 2], FEEDBACK[i % 3])
        for s in STATEMENTS
        for i in range(4)
    ]
    for view in VIEWS:
        check(plain, scorer, items[::3], view)
        check(plain, scorer, items, view)
    assert scorer.statistics.reused_tokens > 0


VARIANTS: dict[str, ModelConfig] = {
    "window": replace(TINY, family="mistral", sliding_window=7),
    "qwen3": replace(TINY, family="qwen3", num_layers=3),
    "llama, one kv head": replace(TINY, family="llama", num_kv_heads=1),
    "adapters": replace(TINY, lora=LoraConfig(rank=2)),
    "two-layer head": replace(TINY, head="mlp"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_model(layout: Layout, tmp_path: Path, variant: str) -> None:
    directory = save_random_model(tmp_path / "model", layout.tokenizer, VARIANTS[variant])
    scorer = StepScorer(directory, one_device(), tokens_per_batch=256)
    plain = plain_scorer(directory)
    for thoughts in (THOUGHTS[:3], (*THOUGHTS[:2], THOUGHTS[3]), THOUGHTS[:1]):
        item = StepInput(STATEMENTS[1], thoughts, PROGRAMS[0], FEEDBACK[2])
        check(plain, scorer, [item, replace(item, statement="Sort.")], "feedback")
        check(plain, scorer, [item], "thoughts")


def test_bfloat16_is_as_close_as_the_plain_forward(
    directory: Path, plain: tuple[Layout, Plain]
) -> None:
    """docs/scoring.md has the bound; the weights of this model exaggerate every error."""
    layout, exact = plain
    _, rounded = plain_scorer(directory, "bfloat16")
    scorer = StepScorer(directory, one_device(), dtype="bfloat16")
    items = [StepInput(s, THOUGHTS[i:], p) for s in STATEMENTS for i in range(4) for p in PROGRAMS]
    examples = layout.lay_out(items, "program")
    scorer.score(items[::2], "program")  # so that the rest finds its beginnings in the cache
    ours = np.concatenate([s.scores for s in scorer.score(items, "program")])
    errors, plain_errors = (
        np.abs(found - np.concatenate([exact(e) for e in examples]))
        for found in (ours, np.concatenate([rounded(e) for e in examples]))
    )
    assert 0 < errors.mean() < 1.5 * plain_errors.mean() < 0.03
    assert errors.max() < 2 * plain_errors.max() < 0.3


def test_one_poisoned_trace_spares_the_others(layout: Layout, tmp_path: Path) -> None:
    """A token whose embedding is not a number, in a row with other traces and in the cache."""
    (bad,) = layout.tokenizer.encode(["§"])

    def poison(params: decoder.Params) -> decoder.Params:
        table = params["embed_tokens"]["embedding"]
        params["embed_tokens"]["embedding"] = table.at[bad[-1]].set(np.nan)
        return params

    directory = save_random_model(tmp_path / "model", layout.tokenizer, change=poison)
    scorer, (_, plain) = StepScorer(directory, one_device()), plain_scorer(directory)
    good = [StepInput("Sort.", ("Compare.", t)) for t in THOUGHTS]
    rotten = [StepInput("Sort.", ("Compare.", "§ swap")), StepInput("§", ("Compare.",))]
    for _ in range(2):
        found = scorer.score_each([good[0], rotten[0], *good[1:], rotten[1]], "thoughts")
        for index in (1, len(found) - 1):
            assert isinstance(found.pop(index if index == 1 else -1), InputError)
        for scored, example in zip(found, scorer.layout.lay_out(good, "thoughts"), strict=True):
            assert not isinstance(scored, InputError)
            np.testing.assert_allclose(scored.scores, plain(example), atol=1e-5)
    with pytest.raises(InputError, match="not finite"):
        scorer.score(rotten, "thoughts")


def test_an_interrupted_call_leaves_no_half_filled_cache(
    directory: Path, plain: tuple[Layout, Plain], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = StepScorer(directory, one_device())
    item = StepInput("Sort.", ("Compare.", "Swap."))

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("codeprm_jax.scoring.tree_forward.put_batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scorer.score([item], "thoughts")
    check(plain, scorer, [replace(item, thoughts=("Compare.", "Stop."))], "thoughts")


@pytest.mark.parametrize("options", [{}, {"reuse": False}, {"reuse": False, "packed": False}])
def test_nothing_is_compiled_after_the_warm_up(
    directory: Path, options: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    scorer = StepScorer(directory, one_device(), 512, **options)  # type: ignore[arg-type]
    programs = scorer.warm_up()
    assert 0 < programs == scorer.compiled <= 24 and scorer.statistics.traces == 0
    items = [StepInput(s, THOUGHTS[:3], PROGRAMS[0]) for s in STATEMENTS] * 9
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for count in (1, 3, 11, 27):
            for view in VIEWS:
                some = [replace(i, program=f"{n}") for n, i in enumerate(items[:count])]
                scorer.score(some, view)
            scorer.forget()
        assert not [r for r in caplog.records if "Compiling" in r.getMessage()]
        jax.jit(lambda x: x * 3)(np.ones(7))  # such a record there would be
        assert [r for r in caplog.records if "Compiling" in r.getMessage()]
    assert scorer.compiled == scorer.statistics.compiled == programs


@pytest.mark.parametrize("packed", [True, False])
def test_rows_without_reuse_give_the_plain_scores(
    directory: Path, plain: tuple[Layout, Plain], packed: bool
) -> None:
    scorer = StepScorer(directory, one_device(), 512, reuse=False, packed=packed)
    items = [
        StepInput(s, THOUGHTS[i:], PROGRAMS[i % 2], FEEDBACK[i % 3])
        for s in STATEMENTS
        for i in range(4)
    ]
    for view in VIEWS:
        check(plain, scorer, items, view)
        check(plain, scorer, items[:1], view)


def test_an_attention_that_sees_no_trees_is_refused(directory: Path) -> None:
    with pytest.raises(InputError, match=r"'splash' cannot share prefixes.*reuse=False"):
        StepScorer(directory, one_device(), attention="splash")
    with pytest.raises(InputError, match="tokens_per_batch"):
        StepScorer(directory, one_device(), tokens_per_batch=0)


def test_more_steps_than_a_pass_scores(directory: Path, plain: tuple[Layout, Plain]) -> None:
    """Steps of one token each: the row takes several passes, and no score is lost."""
    scorer = StepScorer(directory, one_device(), tokens_per_batch=256)
    many = [StepInput(s, ("",) * n) for s in ("a", "b") for n in (1, 30, 100)]
    check(plain, scorer, many, "thoughts")
    check(plain, scorer, [replace(m, program="pass") for m in many[:2]], "program")
    assert scorer.statistics.batches > 2


def test_replicas_exchange_nothing_but_scores() -> None:
    """Each shard reads and writes its own cache: the one collective gathers the scores."""
    mesh, rows = make_mesh(MeshConfig(8, 1, 1)), 256
    with jax.set_mesh(mesh):
        params = jax.jit(lambda: decoder.create(TINY, 0))()
        forward = TreeForward(TINY, params, mesh, rows, rows, 1024, ScoringStatistics())
        names = ("tokens", "positions", "until", "write", "context", "context_first")
        names += ("context_until", "context_positions")
        batch = {name: np.zeros((8, rows), np.int32) for name in names}
        batch["tags"] = np.zeros((8, rows // TOKENS_PER_TAG), np.int32)
        placed = put_batch(mesh, batch)
        text = _forward.lower(TINY, params, forward._cache, **placed).compile().as_text()
    found = re.findall(r"(all-gather|all-reduce|all-to-all|collective-permute)(?:-start)?\(", text)
    assert found == ["all-gather"] and f"f32[8,{rows // TOKENS_PER_TAG}]" in text


def test_rows_of_large_models_on_a_cpu_are_padded_less(
    directory: Path, plain: tuple[Layout, Plain], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert row_lengths(300, "doubling") == [128, 256, 512]
    assert row_lengths(100, "fine") == [32, 48, 64, 96, 128]
    assert row_lengths(100, "coarse") == [128]
    assert row_lengths(4096, "coarse") == [128, 1024, 4096]
    assert context_lengths(4096, "doubling") == [0, 512, 4096]
    assert context_lengths(600, "fine") == [0, 512, 600]
    assert context_lengths(600, "coarse") == [0, 600]
    assert context_lengths(0, "doubling") == context_lengths(0, "coarse") == [0]
    monkeypatch.setattr(tree_forward, "FINE_PARAMETERS", 0)
    scorer = StepScorer(directory, one_device(), tokens_per_batch=256)
    check(plain, scorer, [StepInput("a", ("x",))], "thoughts")
    assert scorer.statistics.padded_tokens == 32
