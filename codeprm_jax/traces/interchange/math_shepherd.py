"""Math-Shepherd: {"input": str, "label": str, "task": str}.

`input` is the problem, then the steps, each closed by the tag "ки"; `label` is the same text with a
"+" or "-" in the place of each tag. Where the tags are is known from `input`, so that a step may
contain plus and minus signs. The problem ends at the first "Step 1:". A step keeps its "Step 2:":
models of this form were trained to read it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange.form import Outgoing, Parsed, hard, take_carried
from codeprm_jax.traces.interchange.records import need

WHAT = "Math-Shepherd"
TAG = "ки"
_FIRST_STEP = re.compile(r"(?<!\S)Step 1:")
_SIGNS = {True: "+", False: "-"}


def parse_record(record: dict[str, Any]) -> list[Parsed]:
    """The one trace of a record, with labels of booleans.

    Its rest is the further fields, and "gaps" where the white space around problem, steps and tags
    is not one blank before a tag and one line feed after it.

    Raises InputError: fields are missing, text and labels do not belong together, or no step.
    """
    rest = dict(record)
    carried = take_carried(rest)
    text, labelled = (need(record, name, str, WHAT) for name in ("input", "label"))
    need(record, "task", str, WHAT)
    del rest["input"], rest["label"]
    pieces = text.split(TAG)
    if len(pieces) == 1:
        raise InputError(f"'input' has no tag {TAG!r}, so no step")
    if pieces[-1].strip():
        raise InputError(f"'input' has text behind its last tag {TAG!r}: a step without a label")
    labels = _signs(pieces, labelled)
    first = _FIRST_STEP.search(pieces[0])
    if first is None:
        raise InputError("'input' has no 'Step 1:' before its first tag, where the problem ends")
    statement = pieces[0][: first.start()]
    if not statement.strip():
        raise InputError("'input' has no problem before 'Step 1:'")
    steps = [pieces[0][first.start() :], *pieces[1:-1]]
    thoughts = tuple(step.strip() for step in steps)
    gaps = [statement[len(statement.rstrip()) :]]
    for step, thought in zip(steps, thoughts, strict=True):
        before = step.find(thought) if thought else len(step)
        gaps += [step[:before], step[before + len(thought) :]]
    gaps.append(pieces[-1])
    if gaps != _usual_gaps(len(thoughts)):
        rest["gaps"] = gaps
    if "gaps" in record:
        raise InputError("field 'gaps' cannot be kept; rename it")
    return [Parsed(statement.rstrip(), thoughts, labels, rest, carried=carried)]


def build_record(group: Sequence[Outgoing]) -> dict[str, Any]:
    """The record of one trace; steps that do not begin with "Step 1:", … are numbered.

    Raises InputError where a text contains the tag, or would not be read as it was written.
    """
    (item,) = group
    labels = hard(item.labels, WHAT)
    thoughts = item.trace.thoughts
    for name, text in [("the problem", item.statement)] + [
        (f"thought {n}", t) for n, t in enumerate(thoughts, 1)
    ]:
        if TAG in text:
            raise InputError(f"{name} contains the tag {TAG!r}, which closes a step: {text[:60]!r}")
    rest = dict(item.rest or {})
    gaps = rest.pop("gaps", _usual_gaps(len(thoughts)))
    if item.rest is None and not numbered(thoughts):
        thoughts = tuple(f"Step {n}: {t}" for n, t in enumerate(thoughts, 1))
    parts = [item.statement + gaps[0]]
    for index, thought in enumerate(thoughts):
        parts += [gaps[2 * index + 1] + thought + gaps[2 * index + 2]]
    texts = ["", ""]
    for version, marks in enumerate(([TAG] * len(labels), [_SIGNS[x] for x in labels])):
        steps = [step + mark for step, mark in zip(parts[1:], marks, strict=True)]
        texts[version] = parts[0] + "".join(steps) + gaps[-1]
    record = {"input": texts[0], "label": texts[1], "task": "codeprm"} | rest
    (again,) = parse_record(record)
    if (again.statement, again.thoughts) != (item.statement, thoughts):
        raise InputError(
            "the problem and its steps would not be read as they are written: they begin or end "
            "with white space, or the problem contains 'Step 1:'"
        )
    return record


def numbered(thoughts: Sequence[str]) -> bool:
    """Whether the first step says that it is one, as the form needs."""
    return thoughts[0].startswith("Step 1:")


def _usual_gaps(steps: int) -> list[str]:
    """Behind the problem; before and behind each step; behind the last tag."""
    gaps = [" "]
    for index in range(steps):
        gaps += ["\n" if index else "", " "]
    return [*gaps, ""]


def _signs(pieces: Sequence[str], labelled: str) -> tuple[bool, ...]:
    labels, end = [], 0
    for number, piece in enumerate(pieces):
        if not labelled.startswith(piece, end):
            raise InputError(f"'label' is not the text of 'input' around step {number or 1}")
        end += len(piece)
        if number == len(pieces) - 1:
            break
        sign = labelled[end : end + 1]
        if sign not in ("+", "-"):
            if labelled.startswith(TAG, end):
                raise InputError(f"step {number + 1} contains the tag {TAG!r} or has no label")
            raise InputError(f"'label' has {sign!r} at step {number + 1}, neither '+' nor '-'")
        labels.append(sign == "+")
        end += 1
    if end != len(labelled):
        raise InputError("'label' goes on behind the end of 'input'")
    return tuple(labels)
