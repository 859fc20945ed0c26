"""Files of one form to another, record by record: whole or not at all, and never in memory."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codeprm_jax.files import InputError, check_output, listed, write_whole
from codeprm_jax.traces.interchange import release
from codeprm_jax.traces.interchange.export import (
    MODULES,
    ExportOptions,
    build,
    losses,
    outgoing,
    restore,
)
from codeprm_jax.traces.interchange.form import (
    CARRIED,
    IMPORTED,
    Foreign,
    Format,
    Imported,
    Outgoing,
    Parsed,
    read_trace,
)
from codeprm_jax.traces.interchange.records import (
    Line,
    need,
    need_texts,
    read_documents,
    read_lines,
    same_json,
)
from codeprm_jax.traces.trace import StepCounts, Trace

logger = logging.getLogger(__name__)

MOST_NAMED = 100  # bad records that are logged one by one
_OURS = "codeprm's traces.jsonl"


@dataclass(frozen=True)
class ImportOptions:
    """How foreign traces become ours.

    Attributes:
      problem_prefix: before the source's name of a problem, or the digest of its text; default the
        format's name and a slash.
      trials: the user's word that every label is the share of so many rollouts that were right,
        right or wrong being all that a rollout could be; None claims nothing.
    """

    problem_prefix: str | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise InputError(f"--trials {self.trials} must be at least 1")


@dataclass
class Summary:
    """What a conversion did.

    Attributes:
      traces: written.
      records: written: lines of the output.
      left_out: bad records of the input.
      unjudged: traces written in our form that lack what `codeprm build` needs.
      lost: what the output's form had no place for -> traces that had it.
    """

    traces: int = 0
    records: int = 0
    left_out: int = 0
    unjudged: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def convert(
    path: Path,
    source: Format,
    out: Path,
    to: Format,
    statements: Mapping[str, str],
    *,
    importing: ImportOptions = ImportOptions(),
    exporting: ExportOptions = ExportOptions(),  # noqa: B008
    allow_loss: bool = False,
    skip_bad: bool = False,
    progress: Callable[[], Any] = lambda: None,
) -> Summary:
    """Writes `out`, JSON Lines, and returns what was done. One record is held at a time.

    Args:
      statements: problem id -> text, for traces of ours that go elsewhere.
      allow_loss: writes although something is lost.
      skip_bad: leaves out records that cannot be read or written, and counts them.
      progress: called once a record of the input.

    Raises:
      InputError: unusable options or file; bad records, each logged by name (all but the first,
        which the message names); what would be lost. Nothing is written then.
    """
    check_output(out, path)
    _check_options(source, to, importing, exporting)
    run = _Run(path, source, to, statements, importing, exporting, skip_bad, progress)
    with write_whole(out) as file:
        for record, lost in run.records():
            run.summary.lost.update(lost)
            if (run.bad and not skip_bad) or (run.summary.lost and not allow_loss):
                continue  # read on, to name all that is wrong
            try:
                file.write(json.dumps(record, allow_nan=False) + "\n")
            except ValueError as error:  # a trace made in memory; what is read has no NaN
                raise InputError(f"{path}: {error}") from error
            run.summary.records += 1
        run.finish(allow_loss)
    return run.summary


def read_record(
    record: dict[str, Any],
    number: int,
    source: Format,
    options: ImportOptions = ImportOptions(),
) -> list[Trace]:
    """The traces of one record. Raises InputError naming what is wrong with it.

    Args:
      number: of the record in its file; part of the traces' ids.
    """
    if source == "ours":
        return [_own(record)]
    parsed: list[Parsed] = MODULES[source].parse_record(record)
    carried = [one.carried is not None for one in parsed]
    if all(carried):
        return restore(parsed, record, source)
    if any(carried):
        raise InputError(f"field {CARRIED!r} holds some traces and not all; remove it")
    return [_import(one, number, source, options) for one in parsed]


class _Run:
    def __init__(
        self,
        path: Path,
        source: Format,
        to: Format,
        statements: Mapping[str, str],
        importing: ImportOptions,
        exporting: ExportOptions,
        skip_bad: bool,
        progress: Callable[[], Any],
    ) -> None:
        self.path, self.source, self.to = path, source, to
        self.statements, self.importing, self.exporting = statements, importing, exporting
        self.skip_bad, self.progress = skip_bad, progress
        self.summary = Summary()
        self.bad = 0
        self.first = ""
        self.seen = 0
        self.kinds: set[str] = set()  # of the labels written for TRL

    def records(self) -> Iterator[tuple[dict[str, Any], list[str]]]:
        """Records to write, each with what it loses, once for every trace that loses it."""
        if self.to == "ours":
            for _, trace in self._traces():
                self.summary.traces += 1
                self.summary.unjudged += None in (trace.steps, trace.public, trace.outcome)
                yield trace.to_json(), []
            return
        for where, group in self._groups(self.to):
            try:
                record = build(group, self.to)
            except InputError as error:
                self._report(where, error)
                continue
            lost = [name for item in group for name in losses(item, self.to)]
            if self.to == "release" and not self.exporting.carry:
                lost += release.missing(group)
            if self.to == "trl":
                self.kinds.update(_kind(label) for label in record["labels"])
            self.summary.traces += len(group)
            yield record, lost

    def finish(self, allow_loss: bool) -> None:
        """Raises InputError where nothing may be written; else logs what was left out."""
        summary = self.summary
        if self.bad and not self.skip_bad:
            more = "" if self.bad == 1 else f"; {self.bad} records are bad in all"
            raise InputError(f"{self.first}{more}. Nothing was written; --skip-bad leaves them out")
        if not self.seen:
            raise InputError(f"{self.path} holds no record; was it cut off while it was copied?")
        if not summary.traces:
            raise InputError(f"{self.path}: no record could be used; the first: {self.first}")
        summary.left_out = self.bad
        if summary.lost:
            what = "; ".join(
                f"{name} ({n} of {summary.traces} traces)"
                for name, n in sorted(summary.lost.items())
            )
            if not allow_loss:
                raise InputError(
                    f"{self.to} has no place for: {what}. Nothing was written; --carry keeps all "
                    f"in an extra field {CARRIED!r}, --allow-loss leaves it out"
                )
            logger.warning("lost, for %s has no place for it: %s", self.to, what)
        if "share" in self.kinds:
            logger.warning(
                "labels between 0 and 1 are written as they are; TRL's own PRM trainer takes their "
                "integer part, which is 0: write --hard-labels for it"
            )
        if "boolean" in self.kinds and len(self.kinds) > 1:
            logger.warning(
                "some traces have booleans for labels and others numbers, which no table holds in "
                "one column; --hard-labels makes all booleans"
            )

    def _traces(self) -> Iterator[tuple[str, Trace]]:
        read = read_documents if self.source == "release" else read_lines
        for line in read(self.path):
            self.progress()
            self.seen += 1
            for trace in self._read(line):
                yield line.where, trace

    def _read(self, line: Line) -> Sequence[Trace]:
        try:
            if line.error:
                raise line.error
            return read_record(line.record, line.number, self.source, self.importing)
        except InputError as error:
            self._report(line.where, error)
            return ()

    def _groups(self, to: Foreign) -> Iterator[tuple[str, list[Outgoing]]]:
        """What belongs into one record: a trace; in the release's form those of one problem."""
        group: list[Outgoing] = []
        began = ""
        for where, trace in self._traces():
            try:
                item = outgoing(trace, to, self.statements, self.exporting)
            except InputError as error:
                self._report(where, error)
                continue
            if group and not (to == "release" and release.continues(group[-1], item)):
                yield began, group
                group = []
            began = where if not group else began
            group.append(item)
        if group:
            yield began, group

    def _report(self, where: str, error: InputError) -> None:
        self.bad += 1
        if self.bad == 1:
            self.first = f"{where}: {error}"
        if self.bad == 1 and not self.skip_bad:
            return  # the error that ends the command names it
        if self.bad <= MOST_NAMED:
            logger.warning("%s: %s", where, error)
        elif self.bad == MOST_NAMED + 1:
            logger.warning("more than %d records are bad; the others are counted", MOST_NAMED)


def _kind(label: bool | int | float) -> str:
    if isinstance(label, bool):
        return "boolean"
    return "share" if 0 < label < 1 else "number"


def _check_options(
    source: Format, to: Format, importing: ImportOptions, exporting: ExportOptions
) -> None:
    if source == "ours" and importing != ImportOptions():
        raise InputError("--problem-prefix and --trials are for traces from elsewhere")
    if to == "ours" and exporting != ExportOptions():
        raise InputError("--target, --hard-labels and --carry are for forms of others")
    if importing.trials is not None and source != "trl":
        raise InputError(
            f"--trials: a label of {source} is no share of rollouts that were right or wrong"
        )
    if to == "release" and exporting.hard_labels is not None:
        raise InputError("--hard-labels: the release's labels are pass rates")


def _own(record: Mapping[str, Any]) -> Trace:
    for name in ("id", "problem_id", "program"):
        need(record, name, str, _OURS)
    need_texts(record, "thoughts", _OURS)
    trace = read_trace(record)
    kept = trace.to_json()
    if lost := sorted(n for n in record if n not in kept or not same_json(record[n], kept[n])):
        raise InputError(f"fields {listed(lost)} hold what a trace cannot keep; remove it")
    return trace


def _import(one: Parsed, number: int, source: Foreign, options: ImportOptions) -> Trace:
    prefix = f"{source}/" if options.problem_prefix is None else options.problem_prefix
    if one.problem is None:
        text = one.statement.encode("utf-8", "surrogatepass")
        name = hashlib.blake2b(text, digest_size=8).hexdigest()
    else:
        name = one.problem
    imported = Imported(source, one.statement, one.labels, one.rest)
    return Trace(
        id=f"{source}/{number}" + (f"/{one.name}" if one.name else ""),
        problem_id=prefix + name,
        thoughts=one.thoughts,
        program=one.program,
        steps=one.steps if options.trials is None else _claimed(one, options.trials),
        provenance={IMPORTED: imported.to_json()},
    )


def _claimed(one: Parsed, trials: int) -> tuple[StepCounts, ...]:
    """Counts on the user's word. Raises InputError where it cannot be true of a label."""
    counts = []
    for label in one.labels:
        if isinstance(label, bool) and trials > 1:
            raise InputError(f"--trials {trials}: a boolean is one judgement, no share of rollouts")
        passes = round(float(label or 0) * trials)
        if abs(float(label or 0) * trials - passes) > 1e-6:
            raise InputError(f"--trials {trials}: label {label} is no share of {trials} rollouts")
        counts.append(StepCounts(passes, trials, float(passes)))
    return tuple(counts)
