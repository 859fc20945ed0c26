"""`codeprm evaluate`: PRM metrics on held-out traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codeprm_jax.commands.output import say, table
from codeprm_jax.data.layout import View
from codeprm_jax.evaluation.prm_metrics import evaluate_records, prefixes
from codeprm_jax.files import InputError, check_output, read_json, write_json
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.traces.dataset import read_split, read_statistics

TEST_SPLITS = ("test_seen", "test")


def main(model: Path, data: Path, out: Path | None = None, view: View | None = None) -> int:
    """Scores the test splits and prints metrics beside the baselines.

    Args:
      model: run directory of a training (RUN@best, RUN@300: another checkpoint than the newest), or
        model directory.
      data: dataset that codeprm build wrote.
      out: JSON file for all metrics.
      view: what the model reads; default the fullest that it was trained to read.
    """
    if out is not None and out.exists():
        check_output(out)
        before = read_json(out)
        if not isinstance(before, dict) or not {"splits", "checkpoint_step"} <= before.keys():
            raise InputError(f"{out} is no evaluation of ours; name another file for --out")
    result = evaluate(model, data, view)
    if out is not None:
        write_json(out, result)
    say(describe(result))
    return 0


def evaluate(model: Path, data: Path, view: View | None = None) -> dict[str, Any]:
    """Metrics on both test splits, by split."""
    scorer = StepScorer(model, view=view)
    mean = read_statistics(data)["splits"]["train"]["mean_label"][scorer.target]
    trained = {p for r in read_split(data, "train") for p in prefixes(r.trace)}
    splits = {
        name: evaluate_records(read_split(data, name), scorer, scorer.target, mean, trained)
        for name in TEST_SPLITS
    }
    return {
        "checkpoint_step": scorer.step,
        "target": scorer.target,
        "view": scorer.view,
        "training_mean": mean,
        "splits": splits,
    }


def describe(result: dict[str, Any]) -> str:
    """The metrics as text."""
    titles = {"test_seen": "unseen traces of seen problems", "test": "unseen problems"}
    parts = []
    for split, found in result["splits"].items():
        rows = [("PRM", *_row(found["prm"]))]
        rows += [(name, *_row(m)) for name, m in found["baselines"].items()]
        parts.append(table((titles[split], "AUROC", "MSE", "MAE", "R2", "ECE"), rows))
        new = found["new_prefixes"]
        parts.append(
            f"prefixes in no training trace: {new['share']:.3f} of the steps, "
            f"{new['reachable']} of them reachable; MAE {new['mae']:.3f}, AUROC {new['auroc']:.3f}"
        )
        first = found["first_wrong_step"]
        if first["traces"]:
            rules = ("lowest", "lowest_tied", "chance", "first", "last")
            shares = ", ".join(f"{r.replace('_', ' ')} {first[r]:.3f}" for r in rules)
            parts.append(f"first wrong step in {first['traces']} failing traces: {shares}\n")
    return "\n".join(parts)


def _row(values: dict[str, float]) -> list[str]:
    return [f"{values[k]:.3f}" for k in ("auroc", "mse", "mae", "r2", "ece")]
