"""What a trace says in another form, and what that form has no place for.

Nothing is lost in silence: `losses` names it, trace by trace, and `carry` puts the whole trace
beside the record as a string of JSON, from which `restore` makes it again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange import math_shepherd, prm800k, release, trl
from codeprm_jax.traces.interchange.form import (
    CARRIED,
    IMPORTED,
    Foreign,
    Imported,
    Label,
    Outgoing,
    Parsed,
    Rate,
    read_trace,
)
from codeprm_jax.traces.interchange.records import parse, same_json
from codeprm_jax.traces.trace import Target, Trace

MODULES: Mapping[Foreign, Any] = {
    "trl": trl,
    "prm800k": prm800k,
    "math_shepherd": math_shepherd,
    "release": release,
}


@dataclass(frozen=True)
class ExportOptions:
    """How traces are written in another form.

    Attributes:
      target: the rate that counts become.
      hard_labels: a step is good where its label is above this, in [0, 1); None keeps shares.
      carry: writes the whole trace beside it.
    """

    target: Target = "pass_rate"
    hard_labels: float | None = None
    carry: bool = False

    def __post_init__(self) -> None:
        if self.hard_labels is not None and not 0 <= self.hard_labels < 1:
            raise InputError(f"--hard-labels {self.hard_labels} must be in [0, 1)")


def outgoing(
    trace: Trace, to: Foreign, statements: Mapping[str, str], options: ExportOptions
) -> Outgoing:
    """The trace as the module of format `to` writes it.

    Args:
      statements: problem id -> text, for traces that do not keep their own.

    Raises InputError: no thoughts, no labels, no known statement, a step that nobody rated.
    """
    if not trace.thoughts:
        raise InputError(f"trace {trace.id!r} has no thoughts, so there is nothing to label")
    imported = Imported.of(trace)
    statement = imported.statement if imported else statements.get(trace.problem_id)
    if statement is None:
        raise InputError(
            f"trace {trace.id!r}: no text of problem {trace.problem_id!r}; name its source with "
            "--problems"
        )
    rest = imported.rest if imported and imported.format == to else None
    kept = _kept_labels(trace, imported, options.target)
    labels: tuple[Label, ...]
    if rest is not None and kept is not None and options.hard_labels is None:
        labels = kept
    else:
        labels = tuple(_rates(trace, imported, kept, options))
        if to in ("prm800k", "release"):
            rest = None  # it goes with the source's labels: ratings, rollouts
    replaced = imported is not None and kept is None
    carried = None
    if options.carry:
        own = {"trace": trace.to_json(), "target": options.target, "hard": options.hard_labels}
        carried = json.dumps(own, allow_nan=False)
    return Outgoing(trace, statement, labels, rest, replaced, carried)


def losses(item: Outgoing, to: Foreign) -> list[str]:
    """What format `to` does not keep of a trace; nothing where it is carried along."""
    if item.carried is not None:
        return []
    trace, imported = item.trace, Imported.of(item.trace)
    own = imported is not None and item.rest is not None
    lost = []
    if trace.program and to != "release":
        lost.append("program")
    if trace.public:
        lost.append("feedback" + (" (its text is kept)" if to == "release" and not own else ""))
    with _damage_named([item]):
        kept = release.counts_of(item.rest) if to == "release" and item.rest is not None else None
    if trace.steps and kept != trace.steps:
        lost.append("passes and trials of the steps")
    if trace.outcome:
        lost.append("outcome")
    if imported is None:
        lost.append("trace id")
        if to != "release":
            lost.append("problem id")
    if set(trace.provenance) - {IMPORTED}:
        lost.append("provenance")
    if imported and not own:
        with _damage_named([item]):
            fields = _fields(imported)
        if fields:
            lost.append(f"fields of {imported.format}: {', '.join(fields)}")
        if imported.format == "prm800k" and 0 in imported.labels:
            lost.append("rating 0 (neutral), written as a good step")
    if imported and not own and to == "release" and any(isinstance(x, bool) for x in item.labels):
        lost.append("that labels are judgements, written as 1 and 0")
    if item.replaced:
        lost.append("the labels that were imported, which counts have replaced")
    return lost


def restore(parsed: Sequence[Parsed], record: Mapping[str, Any], format: Foreign) -> list[Trace]:
    """The traces that a record carries, after checking that the record still says the same.

    Raises InputError: it was changed since it was written, or the carried trace is damaged.
    """
    items = []
    for one in parsed:
        assert one.carried is not None
        try:
            own = parse(one.carried)
            options = ExportOptions(own["target"], own["hard"], True)
            trace = read_trace(own["trace"])
        except (InputError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"field {CARRIED!r} is damaged ({error}); remove it") from error
        items.append(outgoing(trace, format, {trace.problem_id: one.statement}, options))
    again = build(items, format)
    names = [n for n in {**record, **again} if n != CARRIED]
    changed = [
        n for n in names if (n in record) != (n in again) or not same_json(record[n], again[n])
    ]
    if changed:
        raise InputError(
            f"field {CARRIED!r} holds another trace than {', '.join(sorted(changed))}: the record "
            f"was changed; remove {CARRIED!r} to import what the other fields say"
        )
    return [item.trace for item in items]


def build(group: Sequence[Outgoing], to: Foreign) -> dict[str, Any]:
    """The record of a group of traces: of one, but in the release's form of one problem."""
    with _damage_named(group):
        record: dict[str, Any] = MODULES[to].build_record(group)
    if to != "release" and group[0].carried is not None:
        record[CARRIED] = group[0].carried
    return record


@contextlib.contextmanager
def _damage_named(group: Sequence[Outgoing]) -> Iterator[None]:
    """What an import has kept may have been edited since: that is an error of the input."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        if all(Imported.of(item.trace) is None for item in group):
            raise
        raise InputError(
            f"trace {group[0].trace.id!r}: provenance.imported.rest is damaged "
            f"({type(error).__name__}: {error}); import it again"
        ) from error


def _kept_labels(
    trace: Trace, imported: Imported | None, target: Target
) -> tuple[Label, ...] | None:
    """The labels of the source, unless the trace has got counts that say something else."""
    if imported is None or (trace.steps and not _agree(trace, imported, target)):
        return None
    return imported.labels


def _agree(trace: Trace, imported: Imported, target: Target) -> bool:
    return all(
        isinstance(label, int | float) and abs(counts.label(target) - label) <= 1e-6
        for counts, label in zip(trace.steps or (), imported.labels, strict=True)
    )


def _rates(
    trace: Trace,
    imported: Imported | None,
    kept: Sequence[Label] | None,
    options: ExportOptions,
) -> list[Rate]:
    if kept is not None and imported is not None and imported.format == "prm800k":
        return [_judgement(trace, rating, number) for number, rating in enumerate(kept, 1)]
    if kept is None and trace.steps is None:
        raise InputError(
            f"trace {trace.id!r} carries no labels; run sandbox-runner label on it first"
        )
    rates: list[Any] = (
        list(kept) if kept is not None else [s.label(options.target) for s in trace.steps or ()]
    )
    threshold = options.hard_labels
    if threshold is None:
        return rates
    return [rate if isinstance(rate, bool) else rate > threshold for rate in rates]


def _judgement(trace: Trace, rating: Label, number: int) -> bool:
    if rating is None:
        raise InputError(f"trace {trace.id!r}: nobody rated step {number}, so it has no label")
    return rating >= 0


def _fields(imported: Imported) -> list[str]:
    """Names of what the rest holds, for a message."""
    if imported.format == "release":
        names = {n for step in imported.rest["steps"] for n in step} | set(imported.rest["common"])
        return sorted(names | set(imported.rest.get("object", ())))
    if imported.format == "prm800k":
        parts = {f"question.{n}" for n in imported.rest["question"] if n != "problem"}
        parts |= {f"label.{n}" for n in imported.rest["label"] if n != "steps"}
        others = set(imported.rest) - {"question", "label"}
        return sorted(parts | others | {"completions that were not chosen"})
    return sorted(imported.rest)
