"""The report's sections about a trained PRM: its metrics, training, data and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codeprm_jax.evaluation.charts import training_curves
from codeprm_jax.evaluation.page import Html, heading, joined, note, number, table

_SPLITS = {"test_seen": "Unseen traces of seen problems", "test": "Unseen problems"}


def prm(evaluation: Mapping[str, Any]) -> Html:
    """Metrics of the PRM on held-out traces beside its baselines."""
    parts = []
    for split, title in _SPLITS.items():
        result = evaluation["splits"][split]
        rows = [("PRM", *_metrics(result["prm"]))]
        rows += [(name, *_metrics(m)) for name, m in result["baselines"].items()]
        new = result["new_prefixes"]
        parts += [
            heading(
                f"{title}: {result['traces']} traces of {result['problems']} problems, "
                f"{result['steps']} steps"
            ),
            table(("predictor", "AUROC", "MSE", "MAE", "R²", "ECE"), rows),
            note(
                f"{100 * new['share']:.0f} % of these steps have a prefix that is in no training "
                f"trace, and {new['reachable']} of those can still succeed: MAE on them "
                f"{number(new['mae'])}, AUROC {number(new['auroc'])}. The label of a step depends "
                "on its prefix only, so the others can be remembered."
            ),
        ]
    rows = []
    for split, title in _SPLITS.items():
        found = evaluation["splits"][split]["first_wrong_step"]
        names = ("lowest", "lowest_tied", "chance", "first", "last")
        rows.append((title, found["traces"], *(number(found.get(n)) for n in names)))
    head = (
        "traces that fail",
        "traces",
        "lowest score",
        "lowest, ties to the first",
        "chance",
        "always first",
        "always last",
    )
    parts += [
        heading("Inside failing traces: which rule names the first wrong step?"),
        table(head, rows),
        note(
            "AUROC: do scores separate steps through which some rollout passed every test from the "
            "others? “Copy public outcome” gives every step the outcome of the trace on the public "
            "tests, “copy full outcome” that on all tests, private ones included, which no search "
            "can know: whether all passed if scores are success rates, else the share that passed. "
            "The first wrong step is the first through which no rollout passed; failing traces in "
            "which every step can still succeed are left out. Equal traces count once, so passing "
            "ones are rare here, which is hard on the two copied outcomes."
        ),
    ]
    return joined(parts)


def training(run: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> Html:
    """Curves and sizes of the training."""
    train = [r for r in metrics if r["split"] == "train"]
    seconds = sorted(r["seconds"] for r in train)
    rates = sorted(r["tokens"] / r["seconds"] for r in train)
    facts = [
        ("parameters", f"{run['num_params']:,}"),
        ("steps", f"{run['total_steps']:,}"),
        ("training traces", f"{run['train']['traces']:,}"),
        ("tokens an epoch", f"{run['train']['tokens']:,}"),
        ("packing utilisation", f"{100 * run['train']['utilisation']:.1f} %"),
        ("median step", f"{seconds[len(seconds) // 2]:.2f} s"),
        ("useful tokens per second (median)", f"{rates[len(rates) // 2]:,.0f}"),
    ]
    return joined([training_curves(metrics), table((), facts)])


def data(statistics: Mapping[str, Any]) -> Html:
    """The splits of the data set."""
    rows = [
        (
            name,
            s["problems"],
            s["traces"],
            s["steps"],
            f"{s['mean_label']['pass_rate']:.3f}",
            f"{s['mean_label']['success_rate']:.3f}",
            f"{s['mean_trials']:.1f}",
            f"{s['reachable_share']:.3f}",
            f"{s['solved_share']:.3f}",
        )
        for name, s in statistics["splits"].items()
    ]
    head = (
        "split",
        "problems",
        "traces",
        "steps",
        "mean pass rate",
        "mean success rate",
        "rollouts a step",
        "steps that can succeed",
        "traces that pass",
    )
    left_out = ", ".join(f"{n} × {reason}" for reason, n in statistics["left_out"].items())
    return joined(
        [
            table(head, rows),
            note(
                "train, validation and test share no problem; test_seen holds other traces of "
                f"training problems. Left out: {left_out or 'nothing'}."
            ),
        ]
    )


def provenance(
    quickstart: Mapping[str, Any], run: Mapping[str, Any], summary: Mapping[str, Any]
) -> Html:
    """Stages with their times, settings, machine and versions."""
    times = [(n, f"{s['seconds']:.1f}", s["note"]) for n, s in quickstart["stages"].items()]
    facts = [("policy", summary["policy"])]
    facts += [(k, v) for k, v in quickstart["settings"].items()]
    facts += [("hardware", ", ".join(f"{k} {v}" for k, v in run["hardware"].items()))]
    facts += [("isolation tier of executions", quickstart["tier"])]
    facts += [(name, version) for name, version in run["versions"].items()]
    return joined(
        [table(("stage", "seconds", "what"), times, words=(2,)), table((), facts, words=(1,))]
    )


def _metrics(values: Mapping[str, float]) -> list[str]:
    return [number(values[k]) for k in ("auroc", "mse", "mae", "r2", "ece")]
