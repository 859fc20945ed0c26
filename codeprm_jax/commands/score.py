"""`codeprm score`: the step scores of traces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from codeprm_jax.commands.engine_options import EngineOptions
from codeprm_jax.commands.output import progress_bar, say
from codeprm_jax.data.layout import View
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.files import (
    InputError,
    append_jsonl,
    check_output,
    count_lines,
    iterate_valid_prefix,
)
from codeprm_jax.problems.loading import load_problems, source_path
from codeprm_jax.scoring.scorer import Scorer
from codeprm_jax.scoring.serving.client import ScorerClient, open_scorer
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.interchange.form import Imported
from codeprm_jax.traces.trace import read_traces

logger = logging.getLogger(__name__)

CHUNK = 256  # traces held, and scored between two writes


def main(
    traces: Annotated[Path, tyro.conf.Positional],
    /,
    model: str,
    out: Path,
    problems: str = "bank",
    view: View | None = None,
    engine: Annotated[EngineOptions, tyro.conf.arg(name="")] = EngineOptions(),  # noqa: B008
) -> int:
    """Appends {"id", "problem_id", "scores", "tokens", "model"} for each trace; goes on if stopped.

    A trace that does not fit into the model's limit has "scores": null and "error". Traces are
    read, scored and written in chunks; a command that was killed and run again ends in the file of
    one that was not.

    Args:
      traces: traces.jsonl or labelled.jsonl.
      model: run or model directory (RUN@best or RUN@300: another checkpoint than the newest), or
        the address of a server, such as http://127.0.0.1:8000.
      out: JSON Lines file.
      problems: where the statements come from: bank, or SOURCE:PATH of humaneval, humanevalplus,
        mbpp, mbppplus, apps, code_contests, codeforces, livecodebench, or file; after it may stand
        which ones, as in apps:PATH?difficulty=interview&limit=100; docs/problems.md has all. An
        imported trace (codeprm convert) whose problem is not there has its own.
      view: what the model reads; default the fullest that it was trained to read.
      engine: how a model in this process is computed.
    """
    check_output(out, traces, source_path(problems))
    total = count_lines(traces)
    statements = {p.id: p.public.statement for p in load_problems(problems)}
    scorer = open_scorer(model, view, **engine.chosen())
    done = _finished(out, scorer.fingerprint)
    scored = refused = 0
    with progress_bar(total, "trace", "score") as bar:
        for chunk in _chunks(_records(traces, statements, problems), CHUNK):
            before = [done.pop(record.trace.id, None) for record in chunk]
            if None in before:
                # Whole, even if a kill tore it, and from an empty cache: so that neither batches
                # nor the last bits of scores depend on where a run was killed.
                lines = list(_score(scorer, chunk))
                new = [line for line, found in zip(lines, before, strict=True) if found is None]
                append_jsonl(out, new)
                if not isinstance(scorer, ScorerClient):
                    scorer.forget()
                refusals = [line["scores"] is None for line in lines]
            else:
                refusals = [found == "refused" for found in before]
            scored, refused = scored + len(chunk) - sum(refusals), refused + sum(refusals)
            bar.update(len(chunk))
    say(f"{scored} of {scored + refused} traces scored, {refused} refused, in {out}")
    return 0


def _finished(out: Path, fingerprint: str) -> dict[str, str]:
    """Trace id -> "scored" or "refused", of the lines that are there."""
    found = {}
    for record in iterate_valid_prefix(out):
        if record.get("model") != fingerprint or "id" not in record:
            raise InputError(
                f"{out} holds something else than scores of this model; name another file"
            )
        found[record["id"]] = "refused" if record.get("scores") is None else "scored"
    return found


def _records(traces: Path, statements: Mapping[str, str], problems: str) -> Iterator[Record]:
    """The traces with their statements. Raises InputError naming the line of a bad one."""
    seen = set()
    for number, trace in enumerate(read_traces(traces), 1):
        where = f"{traces}, line {number}"
        if trace.id in seen:
            raise InputError(f"{where}: a trace before it has the id {trace.id!r} too")
        statement = statements.get(trace.problem_id)
        if statement is None:
            imported = Imported.of(trace)
            if imported is None:
                raise InputError(f"{where}: {problems} has no problem {trace.problem_id!r}")
            statement = imported.statement
        seen.add(trace.id)
        yield Record(trace, statement)


def _chunks(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    """Runs of records; an error in reading is raised after the chunk that it ends."""
    chunk: list[Record] = []
    try:
        for record in records:
            chunk.append(record)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except InputError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _score(scorer: Scorer, records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    results = scorer.score_each([step_input(record) for record in records])
    for trace, result in zip((r.trace for r in records), results, strict=True):
        record = {"id": trace.id, "problem_id": trace.problem_id, "model": scorer.fingerprint}
        if isinstance(result, InputError):
            logger.warning("trace %s refused: %s", trace.id, result)
            yield record | {"scores": None, "tokens": 0, "error": str(result)}
        else:
            scores = [round(float(s), 6) for s in result.scores]
            yield record | {"scores": scores, "tokens": result.tokens}
