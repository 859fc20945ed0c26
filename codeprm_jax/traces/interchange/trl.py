"""TRL's stepwise supervision: {"prompt": str, "completions": [str], "labels": [bool or number]}.

Labels stay what they are: booleans, or numbers in [0, 1]. Further columns are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange.form import Outgoing, Parsed, take_carried
from codeprm_jax.traces.interchange.records import check_rates, need, need_texts

WHAT = "TRL's stepwise supervision"
COLUMNS = ("prompt", "completions", "labels")


def parse_record(record: dict[str, Any]) -> list[Parsed]:
    """The one trace of a record; rest: the further columns. Raises InputError."""
    rest = dict(record)
    carried = take_carried(rest)
    prompt = need(record, "prompt", str, WHAT)
    completions = need_texts(record, "completions", WHAT)
    labels = need(record, "labels", list, WHAT)
    if len(labels) != len(completions):
        raise InputError(f"{len(labels)} labels for {len(completions)} completions")
    check_rates("labels", labels)
    for column in COLUMNS:
        del rest[column]
    return [Parsed(prompt, tuple(completions), tuple(labels), rest, carried=carried)]


def build_record(group: Sequence[Outgoing]) -> dict[str, Any]:
    """The record of one trace."""
    (item,) = group
    columns = {
        "prompt": item.statement,
        "completions": list(item.trace.thoughts),
        "labels": list(item.labels),
    }
    return columns | dict(item.rest or {})
