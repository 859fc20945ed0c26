"""`codeprm score`: the step scores of traces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import tyro

from codeprm_jax.commands.output import progress_bar, say
from codeprm_jax.data.layout import View
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.files import InputError, append_jsonl, read_valid_prefix
from codeprm_jax.problems.loading import load_problems
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import Trace, read_traces

logger = logging.getLogger(__name__)

CHUNK = 256  # traces scored between two writes


def main(
    traces: Annotated[Path, tyro.conf.Positional],
    /,
    model: Path,
    out: Path,
    problems: str = "bank",
    view: View | None = None,
) -> int:
    """Appends {"id", "problem_id", "scores", "tokens", "model"} for each trace; goes on if stopped.

    A trace that does not fit into the model's limit has "scores": null and "error".

    Args:
      traces: traces.jsonl or labelled.jsonl.
      model: run or model directory; RUN@best or RUN@300 for another checkpoint than the newest.
      out: JSON Lines file.
      problems: where the statements come from: bank, humaneval:PATH, mbpp:PATH or file:PATH.
      view: what the model reads; default the fullest that it was trained to read.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; name a file")
    found = list(read_traces(traces))
    statements = {p.id: p.public.statement for p in load_problems(problems)}
    if unknown := sorted({t.problem_id for t in found} - statements.keys()):
        raise InputError(f"{traces}: {problems} has no problem {', '.join(unknown[:5])}")
    scorer = StepScorer(model, view=view)
    done = read_valid_prefix(out)
    if any(record.get("model") != scorer.fingerprint or "id" not in record for record in done):
        raise InputError(f"{out} holds something else than scores of this model; name another file")
    ids = {record["id"] for record in done}
    left = iter([t for t in found if t.id not in ids])
    refused = sum(record.get("scores") is None for record in done)
    with progress_bar(len(found), "trace", "score") as bar:
        bar.update(len(done))
        while chunk := list(islice(left, CHUNK)):
            records = list(_score(scorer, chunk, statements))
            append_jsonl(out, records)
            refused += sum(record["scores"] is None for record in records)
            bar.update(len(chunk))
    say(f"{len(found) - refused} of {len(found)} traces scored, {refused} refused, in {out}")
    return 0


def _score(
    scorer: StepScorer, traces: Sequence[Trace], statements: dict[str, str]
) -> Iterator[dict[str, Any]]:
    results = scorer.score_each([step_input(Record(t, statements[t.problem_id])) for t in traces])
    for trace, result in zip(traces, results, strict=True):
        record = {"id": trace.id, "problem_id": trace.problem_id, "model": scorer.fingerprint}
        if isinstance(result, InputError):
            logger.warning("trace %s refused: %s", trace.id, result)
            yield record | {"scores": None, "tokens": 0, "error": str(result)}
        else:
            scores = [round(float(s), 6) for s in result.scores]
            yield record | {"scores": scores, "tokens": result.tokens}
