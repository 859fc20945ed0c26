"""What a run can be told to learn, each seen in the run that comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from codeprm_jax.data.pipeline import step_input
from codeprm_jax.data.targets import LabelConfig
from codeprm_jax.files import InputError, read_json, read_jsonl
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.sharding import make_mesh
from codeprm_jax.traces.dataset import Record
from codeprm_jax.training.config import DataConfig, TrainConfig, TrainingConfig, ViewConfig
from codeprm_jax.training.loop import train
from codeprm_jax.training.model_directory import load_model
from tests.training.test_loop import config


def records_of(run: Path, split: str) -> list[dict[str, Any]]:
    return [r for r in read_jsonl(run / "metrics.jsonl") if r["split"] == split]


def with_data(settings: TrainConfig, **data: Any) -> TrainConfig:
    return replace(settings, data=replace(settings.data, **data))


def test_one_model_scores_in_all_three_views(
    data_dir: Path, tmp_path: Path, records: list[Record]
) -> None:
    """Feedback dropout: it is validated in each view, and a scorer may choose."""
    run = tmp_path / "run"
    views = ViewConfig(thoughts=0.4, program=0.2, feedback=0.4)
    summary = train(with_data(config(data_dir, run, epochs=2), views=views))
    assert read_json(run / "model" / "prm_config.json")["layout"]["views"] == [
        "thoughts",
        "program",
        "feedback",
    ]
    fullest = records_of(run, "validation")[-1]
    others = [records_of(run, f"validation {view}")[-1] for view in ("thoughts", "program")]
    assert summary.metrics["mse"] == fullest["mse"]
    assert len({fullest["mse"], *(r["mse"] for r in others)}) == 3
    scorer = StepScorer(run, make_mesh(devices=jax.devices()[:1]))
    inputs = [step_input(r) for r in records[:4]]
    by_view = {v: scorer.score(inputs, v) for v in ("thoughts", "program", "feedback")}
    tokens = [sum(s.tokens for s in found) for found in by_view.values()]
    assert tokens == sorted(set(tokens))  # each shows more than the one before
    for ours, default in zip(by_view["feedback"], scorer.score(inputs), strict=True):
        np.testing.assert_array_equal(ours.scores, default.scores)


def test_a_view_that_was_not_trained_is_refused(
    data_dir: Path, tmp_path: Path, records: list[Record]
) -> None:
    run = tmp_path / "run"
    settings = config(data_dir, run, epochs=1)
    train(with_data(settings, views=ViewConfig(thoughts=1.0, feedback=0.0)))
    scorer = StepScorer(run, make_mesh(devices=jax.devices()[:1]))
    with pytest.raises(InputError, match="not trained to read the view 'feedback'"):
        scorer.score([step_input(records[0])], "feedback")


def test_pairwise_training_ranks_siblings(
    data_dir: Path, tmp_path: Path, records: list[Record]
) -> None:
    run = tmp_path / "run"
    settings = {"epochs": 30, "learning_rate": 1e-2, "evaluate_every": 100, "checkpoint_every": 100}
    chosen = config(data_dir, run, loss="pairwise", best_metric="auroc", **settings)
    train(with_data(chosen, views=ViewConfig(thoughts=1.0, feedback=0.0)))
    losses = [r["loss"] for r in records_of(run, "train")]
    assert losses[0] == pytest.approx(np.log(2), abs=0.05)  # nothing is preferred at first
    assert np.mean(losses[-5:]) < 0.6
    train_records = [r for r in records if r.trace.problem_id in _trained(data_dir)]
    scorer = StepScorer(run, make_mesh(devices=jax.devices()[:1]))
    scores = scorer.score([step_input(r) for r in train_records])
    first = np.array([s.scores[0] for s in scores])
    rates = np.array([(r.trace.steps or ())[0].pass_rate for r in train_records])
    problems = np.array([r.trace.problem_id for r in train_records])
    # Among the first steps of each problem, which are siblings, better ones score higher.
    right = total = 0.0
    for problem in set(problems):
        own = problems == problem
        better = rates[own][:, None] - rates[own][None, :]
        right += (better * ((first[own][:, None] > first[own][None, :]) & (better > 0))).sum()
        total += better[better > 0].sum()
    assert right / total > 0.75


def _trained(data_dir: Path) -> set[str]:
    return set(read_json(data_dir / "statistics.json")["splits"]["train"]["problem_ids"])


@pytest.mark.parametrize(
    ("label", "steps"),
    [
        (LabelConfig("success_rate", "hard", 0.0), "all"),
        (LabelConfig("success_rate", "first_error", 0.0), "fewer"),
        (LabelConfig("success_rate", weigh_trials=True), "all"),
    ],
    ids=["hard", "first_error", "weigh_trials"],
)
def test_labels_change_what_is_learned(
    label: LabelConfig, steps: str, data_dir: Path, tmp_path: Path
) -> None:
    plain, run = tmp_path / "plain", tmp_path / "run"
    settings = {"epochs": 1, "loss": "bce", "evaluate_every": 100}
    for out, chosen in ((plain, LabelConfig("success_rate")), (run, label)):
        train(with_data(config(data_dir, out, **settings), label=chosen))
    ours, theirs = records_of(run, "train")[0], records_of(plain, "train")[0]
    assert ours["loss"] != pytest.approx(theirs["loss"], rel=1e-4)
    assert (ours["steps"] < theirs["steps"]) == (steps == "fewer")


def test_the_average_is_what_is_scored(data_dir: Path, tmp_path: Path) -> None:
    """Also after a stop, bit for bit, and on a cosine schedule with the batch in parts."""
    settings = {"epochs": 3, "ema_decay": 0.9, "schedule": "cosine", "checkpoint_every": 1}
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    train(config(data_dir, plain, **(settings | {"ema_decay": 0.0})))
    train(config(data_dir, averaged, **settings))
    assert [r["loss"] for r in records_of(averaged, "train")] == [
        r["loss"] for r in records_of(plain, "train")
    ]
    ours, theirs = (
        jax.tree.leaves(load_model(run, make_mesh()).params) for run in (averaged, plain)
    )
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(ours, theirs, strict=True))


def test_settings_that_cannot_be_are_refused_by_name() -> None:
    for message, make in {
        "sum to 1": lambda: ViewConfig(thoughts=0.5, feedback=0.6),
        "ema_decay": lambda: TrainingConfig(ema_decay=1.0),
        "accumulate": lambda: TrainingConfig(batch_rows=8, accumulate=3),
        "profile_steps": lambda: TrainingConfig(profile_steps=(5, 2)),
        "first_error": lambda: TrainConfig(
            data=DataConfig(label=LabelConfig(kind="first_error")),
            training=TrainingConfig(loss="pairwise"),
        ),
    }.items():
        with pytest.raises(InputError, match=message):
            make()
