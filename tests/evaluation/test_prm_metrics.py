from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from codeprm_jax.data.layout import ExampleTooLongError, StepInput
from codeprm_jax.evaluation.bootstrap import mean_interval
from codeprm_jax.evaluation.prm_metrics import evaluate_records, first_wrong_metrics, prefixes
from codeprm_jax.files import InputError
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.search.refine import lowest_step
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import StepCounts, Trace


class LabelScorer:
    """Scores every step with its own label: the best that any scorer can do."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.labels = {
            (r.statement, r.trace.thoughts, r.trace.program): [
                s.success_rate for s in r.trace.steps or ()
            ]
            for r in records
        }

    def score_each(self, inputs: Sequence[StepInput]) -> list[StepScores | InputError]:
        return [
            ExampleTooLongError("too long")
            if "refuse" in i.statement
            else StepScores(np.array(self.labels[i.statement, i.thoughts, i.program]), 1)
            for i in inputs
        ]


def test_the_labels_themselves_are_perfect(records: list[Record]) -> None:
    result = evaluate_records(records, LabelScorer(records), "success_rate", 0.2)
    assert result["prm"]["mse"] == 0 and result["prm"]["r2"] == 1 and result["prm"]["auroc"] == 1
    assert result["baselines"]["training mean"]["auroc"] == 0.5
    assert result["first_wrong_step"]["lowest"] == 1  # zeros tie, and the earliest wins
    assert result["steps"] == sum(len(r.trace.thoughts) for r in records)


def test_steps_with_trained_prefixes_are_told_apart(records: list[Record]) -> None:
    trained = {p for r in records[:30] for p in prefixes(r.trace)}
    result = evaluate_records(records, LabelScorer(records), "success_rate", 0.2, trained)
    new = [p not in trained for r in records for p in prefixes(r.trace)]
    share = result["new_prefixes"]["share"]
    assert share == pytest.approx(np.mean(new)) and 0 < share < 1
    assert result["new_prefixes"]["auroc"] == 1


def test_copying_the_outcome_is_what_it_says(records: list[Record]) -> None:
    result = evaluate_records(records, LabelScorer(records), "pass_rate", 0.2)
    targets = np.concatenate([[s.pass_rate for s in r.trace.steps or ()] for r in records])
    copied = np.concatenate(
        [[r.trace.outcome[0] / r.trace.outcome[1]] * len(r.trace.thoughts) for r in records]
    )
    mse = result["baselines"]["copy full outcome"]["mse"]
    assert abs(mse - ((targets - copied) ** 2).mean()) < 1e-12


def test_traces_that_do_not_fit_are_counted(records: list[Record]) -> None:
    some = [*records[:5], Record(records[5].trace, "refuse me")]
    result = evaluate_records(some, LabelScorer(some), "pass_rate", 0.2)
    assert result["refused"] == 1 and result["traces"] == 5


def trace(passes: list[int], solved: bool = False) -> Trace:
    steps = tuple(StepCounts(p, 4, float(p)) for p in passes)
    return Trace("t", "p", tuple("abcd"[: len(passes)]), "", None, steps, (4 if solved else 1, 4))


def test_first_wrong_step_rules_by_hand() -> None:
    traces = [
        trace([2, 1, 0, 0]),
        trace([0, 0, 0, 0]),
        trace([4, 4, 4, 0]),
        trace([1, 1, 1, 1]),  # failed in its program only: left out
        trace([4, 4, 4, 4], solved=True),
    ]
    scores = [
        np.array([0.6, 0.5, 0.04, 0.01]),
        np.array([0.1, 0.1, 0.1, 0.1]),
        np.array([0.9, 0.2, 0.9, 0.3]),
        np.ones(4),
        np.ones(4),
    ]
    found = first_wrong_metrics(traces, scores)
    assert found["traces"] == 3
    assert found["lowest"] == pytest.approx(1 / 3)
    assert found["lowest_tied"] == pytest.approx(2 / 3)
    assert found["last"] == found["first"] == pytest.approx(1 / 3)
    assert found["chance"] == 0.25
    assert first_wrong_metrics(traces[4:], scores[4:]) == {"traces": 0}


def test_lowest_step_ties_go_to_the_first() -> None:
    assert lowest_step(np.array([0.5, 0.02, 0.0, 0.3])) == 1
    assert lowest_step(np.array([0.5, 0.02, 0.0, 0.3]), tie=0.0) == 2


def test_interval_covers_the_mean_at_its_level() -> None:
    """Property: over many samples of a known mean, 95 % intervals cover it about 95 % of times."""
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        mean, low, high = mean_interval(rng.random(40), samples=500, seed=seed)
        assert low <= mean <= high
        covered += low <= 0.5 <= high
    assert 0.88 <= covered / 200 <= 0.99
    assert mean_interval([0.3, 0.3]) == (pytest.approx(0.3),) * 3
    assert all(np.isnan(v) for v in mean_interval([]))
