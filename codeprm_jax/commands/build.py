"""`codeprm build`: labelled traces to a TFDS dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import say, table
from codeprm_jax.files import InputError
from codeprm_jax.problems.loading import load_problems, source_path
from codeprm_jax.traces.dataset import SplitConfig, build_dataset
from codeprm_jax.traces.trace import read_traces

DEFAULT_SPLIT = SplitConfig()


def main(
    labelled: Annotated[Path, tyro.conf.Positional],
    /,
    data_dir: Path = Path("data"),
    problems: str = "bank",
    split: SplitConfig = DEFAULT_SPLIT,
) -> int:
    """Writes train, validation, test and test_seen splits as ArrayRecord files.

    Args:
      labelled: labelled.jsonl from sandbox-runner label.
      data_dir: folder to write; replaced when the new dataset is complete.
      problems: where the statements come from: bank, or SOURCE:PATH of humaneval, humanevalplus,
        mbpp, mbppplus, apps, code_contests, codeforces, livecodebench, or file; after it may stand
        which ones, as in apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      split: shares and seed of the division.
    """
    for path in (labelled, source_path(problems)):
        if path is not None and path.resolve().is_relative_to(data_dir.resolve()):
            raise InputError(
                f"{path} lies in {data_dir}, which is replaced; name another --data-dir"
            )
    statements = {p.id: p.public for p in load_problems(problems)}
    statistics = build_dataset(list(read_traces(labelled)), statements, data_dir, split)
    say(describe(statistics))
    say(f"dataset written to {data_dir}")
    return 0


def describe(statistics: dict) -> str:
    """The statistics of a dataset as a table."""
    rows = [
        (
            name,
            s["problems"],
            s["traces"],
            s["steps"],
            f"{s['mean_label']['pass_rate']:.3f}",
            f"{s['mean_label']['success_rate']:.3f}",
            f"{s['mean_trials']:.1f}",
        )
        for name, s in statistics["splits"].items()
    ]
    return table(
        ("split", "problems", "traces", "steps", "pass rate", "success rate", "rollouts a step"),
        rows,
    )
