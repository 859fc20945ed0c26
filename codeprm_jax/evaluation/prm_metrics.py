"""How good a PRM's step scores are on held-out traces, beside baselines that use no PRM."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from codeprm_jax.data.layout import ExampleTooLongError
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.files import InputError
from codeprm_jax.scoring.scorer import Scorer
from codeprm_jax.search.refine import lowest_step
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import Target, Trace
from codeprm_jax.training.metrics import auroc, regression_metrics

Prefix = tuple[str, tuple[str, ...]]  # problem id, thoughts


def prefixes(trace: Trace) -> list[Prefix]:
    """The prefix that ends in each step of a trace."""
    return [(trace.problem_id, trace.thoughts[:d]) for d in range(1, len(trace.thoughts) + 1)]


def evaluate_records(
    records: Sequence[Record],
    scorer: Scorer,
    target: Target,
    training_mean: float,
    trained: Set[Prefix] = frozenset(),
) -> dict[str, Any]:
    """Metrics of the PRM and of its baselines on labelled traces.

    Args:
      target: the label that scores are compared with.
      trained: prefixes of the training traces. A step's label depends on its prefix alone, so a
        step with a trained prefix can be looked up.
      training_mean: mean soft label of the training split, the simplest prediction.

    Returns:
      traces, steps, problems, refused; `prm` and `baselines` ("training mean", "copy public
      outcome", "copy full outcome": the trace's own share of passed tests given to every step),
      each with `regression_metrics`; `new_prefixes`: share of the steps whose prefix is in no
      training trace, how many of those are reachable, and MAE and AUROC on those alone;
      `first_wrong_step`: `first_wrong_metrics`.
    """
    kept, scores, refused = _score(records, scorer)
    traces = [r.trace for r in kept]
    steps = [s for t in traces for s in t.steps or ()]
    targets = np.array([s.label(target) for s in steps])
    reachable = np.array([s.reachable for s in steps])

    new = np.array([p not in trained for t in traces for p in prefixes(t)])

    def metrics(values: Sequence[np.ndarray]) -> dict[str, float]:
        return regression_metrics(targets, np.concatenate(values), reachable)

    def copied(value_of: Any) -> dict[str, float]:
        return metrics([np.full(len(t.thoughts), value_of(t), float) for t in traces])

    return {
        "traces": len(traces),
        "steps": len(steps),
        "problems": len({t.problem_id for t in traces}),
        "refused": refused,
        "prm": metrics(scores),
        "baselines": {
            "training mean": copied(lambda t: training_mean),
            "copy public outcome": copied(lambda t: _copy(t.public.pass_rate, target)),
            "copy full outcome": copied(lambda t: _copy(t.outcome[0] / t.outcome[1], target)),
        },
        "new_prefixes": {
            "share": float(new.mean()),
            "reachable": int(reachable[new].sum()),
            "mae": float(np.abs(targets - np.concatenate(scores))[new].mean()) if any(new) else 0.0,
            "auroc": auroc(reachable[new], np.concatenate(scores)[new]),
        },
        "first_wrong_step": first_wrong_metrics(traces, scores),
    }


def first_wrong_metrics(traces: Sequence[Trace], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """How often a rule names the first wrong step, over failing traces that have one.

    The first wrong step is the first through which no rollout passed everything (Monte-Carlo value
    0, as in OmegaPRM). A failing trace without one failed in its program only and is left out.

    Returns:
      traces: how many count. Shares in [0, 1]: `lowest` (the lowest score), `lowest_tied` (the
      earliest score within SCORE_TIE of it, as the search chooses), `last` (always the
      last step), `first` (always the first), `chance` (a random step).
    """
    rows = [
        (t.first_wrong, len(t.thoughts), s)
        for t, s in zip(traces, scores, strict=True)
        if not t.solved and t.first_wrong is not None
    ]
    if not rows:
        return {"traces": 0}
    return {
        "traces": len(rows),
        "lowest": float(np.mean([np.argmin(s) == wrong for wrong, _, s in rows])),
        "lowest_tied": float(np.mean([lowest_step(s) == wrong for wrong, _, s in rows])),
        "last": float(np.mean([wrong == length - 1 for wrong, length, _ in rows])),
        "first": float(np.mean([wrong == 0 for wrong, _, _ in rows])),
        "chance": float(np.mean([1 / length for _, length, _ in rows])),
    }


def _copy(pass_rate: float, target: Target) -> float:
    """An outcome in the unit of the target: the share passed, or whether all passed."""
    return pass_rate if target == "pass_rate" else float(pass_rate == 1)


def _score(records: Sequence[Record], scorer: Scorer) -> tuple[list[Record], list[np.ndarray], int]:
    """Scored records; those that do not fit are counted."""
    kept, scores = [], []
    found = scorer.score_each([step_input(r) for r in records])
    for record, item in zip(records, found, strict=True):
        if isinstance(item, ExampleTooLongError):
            continue
        if isinstance(item, InputError):
            raise item
        kept.append(record)
        scores.append(item.scores)
    return kept, scores, len(records) - len(kept)
