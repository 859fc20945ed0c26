"""What the modules of this folder have in common: a record taken apart, and one to be written.

A trace that came from elsewhere keeps under provenance["imported"] what no field of Trace holds:
the problem's text, the labels as they were, and all else of its record. Labels are not counts:
`Trace.steps` says how many rollouts passed out of how many, and no label says that, so it stays
None unless the record has the rollouts (the release) or the user vouches for them (`--trials`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from codeprm_jax.files import InputError
from codeprm_jax.json_dataclass import read_dataclass
from codeprm_jax.traces.trace import Feedback, StepCounts, Trace

Foreign = Literal["trl", "prm800k", "math_shepherd", "release"]
Format = Literal["trl", "prm800k", "math_shepherd", "release", "ours"]
Label = bool | int | float | None  # as the source has it; None: a step that nobody rated
Rate = bool | int | float  # bool: a judgement; a number: a share, in [0, 1]
IMPORTED = "imported"  # the key in Trace.provenance
CARRIED = "codeprm"  # the extra field of a record that holds the whole trace, as a string of JSON


@dataclass(frozen=True)
class Imported:
    """What a trace keeps of the record that it was read from.

    Attributes:
      statement: the problem's text.
      labels: one a thought, as in the source.
      rest: all else of the record, in the form of its format's module.
    """

    format: Foreign
    statement: str
    labels: tuple[Label, ...]
    rest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, trace: Trace) -> Imported | None:
        """What `trace` keeps; None of a trace made here. Raises InputError if it is damaged."""
        data = trace.provenance.get(IMPORTED)
        if data is None:
            return None
        try:
            found = cls(data["format"], data["statement"], tuple(data["labels"]), data["rest"])
        except (KeyError, TypeError) as error:
            raise InputError(f"trace {trace.id!r}: provenance.imported: {error}") from error
        if found.format not in get_args(Foreign):
            raise InputError(f"trace {trace.id!r}: imported from {found.format!r}, an unknown form")
        if not isinstance(found.statement, str) or not isinstance(found.rest, Mapping):
            raise InputError(f"trace {trace.id!r}: provenance.imported is damaged; import it again")
        if len(found.labels) != len(trace.thoughts):
            raise InputError(
                f"trace {trace.id!r} has {len(trace.thoughts)} thoughts, but was imported with "
                f"{len(found.labels)} labels"
            )
        for label in found.labels:
            if not _valid(label, found.format):
                raise InputError(f"trace {trace.id!r}: {label!r} is no label of {found.format}")
        return found

    def to_json(self) -> dict[str, Any]:
        """The value under provenance["imported"]."""
        return {
            "format": self.format,
            "statement": self.statement,
            "labels": list(self.labels),
            "rest": dict(self.rest),
        }


@dataclass(frozen=True)
class Parsed:
    """One trace of a foreign record.

    Attributes:
      rest: all that the other fields do not hold.
      problem: the source's own name of the problem, if it has one.
      name: of the trace within its record, where that holds several.
      steps: counts that the record really has.
      carried: the whole trace as `codeprm convert --carry` wrote it; then only it counts.
    """

    statement: str
    thoughts: tuple[str, ...]
    labels: tuple[Label, ...]
    rest: dict[str, Any]
    program: str = ""
    problem: str | None = None
    name: str = ""
    steps: tuple[StepCounts, ...] | None = None
    carried: str | None = None


@dataclass(frozen=True)
class Outgoing:
    """A trace about to be written.

    Attributes:
      labels: one a thought; as in the source where `rest` is there.
      rest: of a trace that was imported from the very format that is written; else None.
      replaced: whether the trace was imported with other labels than its counts give.
      carried: for the field "codeprm"; None leaves it out.
    """

    trace: Trace
    statement: str
    labels: tuple[Label, ...]
    rest: Mapping[str, Any] | None
    replaced: bool = False
    carried: str | None = None


def take_carried(record: dict[str, Any]) -> str | None:
    """Takes the field "codeprm" out of a record. Raises InputError if it is no string."""
    carried = record.pop(CARRIED, None)
    if carried is not None and not isinstance(carried, str):
        raise InputError(
            f"field {CARRIED!r} is not the string that codeprm convert writes; remove or rename it"
        )
    return carried


def read_trace(record: Mapping[str, Any]) -> Trace:
    """A trace of a file that may have been edited. Raises InputError naming trace and trouble."""
    where = f"trace {record.get('id')!r}"
    if (public := record.get("public")) is not None:
        read_dataclass(Feedback, public, f"{where}: public")
    if (outcome := record.get("outcome")) is not None:
        read_dataclass(_Outcome, outcome, f"{where}: outcome")
    try:
        for step in record.get("steps") or ():
            counts = read_dataclass(StepCounts, step, f"{where}: steps")
            if not 0 <= counts.passes <= counts.trials or not 0 <= counts.pass_rate <= 1:
                raise InputError(f"{where}: impossible counts: {counts}")
        trace = Trace.from_json(record)
        trace.to_json()
    except (TypeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: malformed field: {error}") from error
    return trace


@dataclass(frozen=True)
class _Outcome:
    passes: int
    trials: int
    tier: str | None = None


def _valid(label: Any, form: Foreign) -> bool:
    if form == "prm800k":
        return label is None or (type(label) is int and -1 <= label <= 1)
    if form == "math_shepherd":
        return isinstance(label, bool)
    if isinstance(label, bool):
        return form == "trl"
    return isinstance(label, int | float) and 0 <= label <= 1


def hard(labels: Sequence[Label], format: str) -> tuple[bool, ...]:
    """Labels for a format that knows good and bad only. Raises InputError on a share."""
    for label in labels:
        if not isinstance(label, bool):
            raise InputError(
                f"{format} knows good and bad steps only, and {label!r} is a share; name the "
                "threshold above which a step is good with --hard-labels"
            )
    return tuple(bool(label) for label in labels)
