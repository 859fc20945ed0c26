"""`codeprm convert`: step-labelled traces between this project's form and others'."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import progress_bar, say
from codeprm_jax.files import check_output, count_lines
from codeprm_jax.problems.loading import load_problems, source_path
from codeprm_jax.traces.interchange.conversion import ImportOptions, convert
from codeprm_jax.traces.interchange.export import ExportOptions
from codeprm_jax.traces.interchange.form import Format
from codeprm_jax.traces.trace import Target


def main(
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")],
    /,
    source: Annotated[Format, tyro.conf.arg(name="from")],
    to: Format,
    out: Path,
    problems: str = "bank",
    allow_loss: bool = False,
    carry: bool = False,
    hard_labels: float | None = None,
    target: Target = "pass_rate",
    problem_prefix: str | None = None,
    trials: int | None = None,
    skip_bad: bool = False,
) -> int:
    """Converts a file, record by record; refuses what would lose something, unless told to.

    Args:
      path: JSON Lines; of the release also a .json file, or the folder mc_labels of such files.
      source: the form of IN: trl (stepwise supervision), prm800k, math_shepherd, release (the
        CodePRM release's mc_labels), or ours (traces.jsonl, labelled.jsonl).
      to: the form of OUT; as --from.
      out: JSON Lines file to write, whole or not at all.
      problems: texts of the problems of our traces: bank, or SOURCE:PATH of humaneval,
        humanevalplus, mbpp, mbppplus, apps, code_contests, codeforces, livecodebench, or file.
      allow_loss: write although the form has no place for something; what is lost is listed.
      carry: write the whole trace into an extra field "codeprm"; then nothing is lost, and --from
        reads it back.
      hard_labels: a step is good where its label is above this; needed where a form has no shares.
      target: of our counts, the label that is written: pass_rate or success_rate.
      problem_prefix: of the problem ids of imported traces; such as HumanEval/ to meet known ones.
      trials: of trl: vouch that each label is the share of so many rollouts that were right; else
        imported labels are no counts.
      skip_bad: leave out records that cannot be converted, and count them.
    """
    check_output(out, source_path(problems))
    statements = {p.id: p.public.statement for p in load_problems(problems)} if to != "ours" else {}
    # A folder or a document has no lines to count.
    total = None if path.is_dir() or path.suffix == ".json" else count_lines(path)
    with progress_bar(total, "record", "convert") as bar:
        summary = convert(
            path,
            source,
            out,
            to,
            statements,
            importing=ImportOptions(problem_prefix, trials),
            exporting=ExportOptions(target, hard_labels, carry),
            allow_loss=allow_loss,
            skip_bad=skip_bad,
            progress=bar.update,
        )
    left_out = f", {summary.left_out} bad records left out" if summary.left_out else ""
    say(f"{summary.traces} traces in {summary.records} lines of {out}{left_out}")
    if source != "ours" and summary.unjudged:
        say(
            f"{summary.unjudged} of them were not judged here: they are for codeprm score and for "
            "export. codeprm build takes them after sandbox-runner label, which needs their "
            "programs and the problems' tests"
        )
    return 0
