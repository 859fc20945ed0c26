"""PRM800K: people's ratings of the steps of one solution.

{"question": {"problem": str, …}, "label": {"steps": [{"completions": [{"text": str, "rating":
-1, 0, 1 or null}, …], "human_completion": str, object or null, "chosen_completion": int or null}]}}

The trace is the way that the labeller went: of each step the chosen completion, or else the
person's own. The first step with neither is where the way ends: its first completion is the last
thought (in phase 2 that is the solution's own step). Alternatives stay in the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange.form import Label, Outgoing, Parsed, hard, take_carried
from codeprm_jax.traces.interchange.records import need

WHAT = "PRM800K"


def parse_record(record: dict[str, Any]) -> list[Parsed]:
    """The one trace of a record. Labels are ratings; a step that a person wrote has 1, by rule.

    Its rest is the record with null where statement, rated thoughts and ratings were.

    Raises InputError: a missing field or another rating, named with its step; no step at all.
    """
    rest = copy.deepcopy(record)
    carried = take_carried(rest)
    question = need(rest, "question", dict, WHAT)
    statement = need(question, "problem", str, WHAT)
    question["problem"] = None
    thoughts: list[str] = []
    labels: list[Label] = []
    for holder, key, rated in _way(rest):
        thoughts.append(holder[key])
        labels.append(holder["rating"] if rated else 1)
        if rated:  # what a person wrote stays, for a null would say that nobody did
            holder[key] = holder["rating"] = None
    if not thoughts:
        raise InputError("field 'label.steps' holds no step: a trace has at least one")
    return [Parsed(statement, tuple(thoughts), tuple(labels), rest, carried=carried)]


def build_record(group: Sequence[Outgoing]) -> dict[str, Any]:
    """The record of one trace. What PRM800K says of a solution and a trace does not know is null.

    Raises InputError on labels that are shares, and on a rest of another number of steps.
    """
    (item,) = group
    if item.rest is None:
        return _fresh(item)
    record = copy.deepcopy(dict(item.rest))
    record["question"]["problem"] = item.statement
    way = _way(record, emptied=True)
    if len(way) != len(item.trace.thoughts):
        raise InputError("its thoughts are not those of the record that it was imported from")
    for (holder, key, rated), thought, label in zip(
        way, item.trace.thoughts, item.labels, strict=True
    ):
        holder[key] = thought
        if rated:
            holder["rating"] = label
    return record


def _fresh(item: Outgoing) -> dict[str, Any]:
    ratings = [1 if good else -1 for good in hard(item.labels, WHAT)]
    steps = [
        {
            "completions": [{"text": thought, "rating": rating, "flagged": None}],
            "human_completion": None,
            "chosen_completion": 0,
        }
        for thought, rating in zip(item.trace.thoughts, ratings, strict=True)
    ]
    unknown = ("ground_truth_solution", "ground_truth_answer", "pre_generated_steps")
    return {
        **dict.fromkeys(("labeler", "timestamp", "generation")),
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": {"problem": item.statement, **dict.fromkeys(unknown)},
        "label": {"steps": steps, "total_time": None, "finish_reason": None},
    }


def _way(record: dict[str, Any], emptied: bool = False) -> list[tuple[dict[str, Any], str, bool]]:
    """(object that holds a thought, its key there, whether the object has a rating), step by step.

    With `emptied` texts and ratings have been taken out and are not checked.
    """
    label = need(record, "label", dict, WHAT)
    way: list[tuple[dict[str, Any], str, bool]] = []
    for number, step in enumerate(need(label, "steps", list, WHAT), 1):
        try:
            found, ends = _place(step, emptied)
        except InputError as error:
            raise InputError(f"label.steps, step {number}: {error}") from error
        if found is not None:
            way.append(found)
        if ends:
            break
    return way


def _place(step: Any, emptied: bool) -> tuple[tuple[dict[str, Any], str, bool] | None, bool]:
    """Where the thought of a step stands, and whether the way ends with it."""
    if not isinstance(step, dict):
        raise InputError("an object is needed")
    # A step of only a human completion has null or no completions at all.
    completions = step.get("completions") or []
    if not isinstance(completions, list):
        raise InputError("field 'completions' must be a list")
    chosen = need(step, "chosen_completion", (int, type(None)), WHAT)
    human = step.get("human_completion")
    if chosen is not None:
        if not 0 <= chosen < len(completions):
            raise InputError(f"chosen_completion {chosen} of {len(completions)} completions")
        return (_rated(completions[chosen], chosen, emptied), "text", True), False
    if isinstance(human, dict):
        if not emptied:
            need(human, "text", str, WHAT)
        return (human, "text", False), False
    if isinstance(human, str):
        return (step, "human_completion", False), False
    if human is not None:
        raise InputError("field 'human_completion' must be a string, an object or null")
    if not completions:
        return None, True
    return (_rated(completions[0], 0, emptied), "text", True), True


def _rated(completion: Any, index: int, emptied: bool) -> dict[str, Any]:
    if not isinstance(completion, dict):
        raise InputError(f"completions, item {index}: an object is needed")
    if not emptied:
        need(completion, "text", str, WHAT)
        rating = need(completion, "rating", (int, type(None)), WHAT)
        if rating not in (-1, 0, 1, None):
            raise InputError(f"rating {rating} is none of -1, 0, 1 and null")
    return completion
