"""The CodePRM release's `mc_labels`: one object a problem, with every labelled rollout of its tree.

{"ques_id": int or str, "question": str, "label": {"trace_0_steps": [step, …], …}, …}. Of a step
these fields are read; the form follows the public source of the collector, not a specification:

- thought: str; avg_pass_rate: the label, in [0, 1]; current_trace_code: str, one program a trace;
- total_pass_rate_list (may be absent): the pass rate of every rollout through the step so far. Its
  length is the step's trials, its ones are the passes: the only foreign form that has counts. A
  rate is the mean of the public and the private share, where ours is the share of all tests.

All other fields (state, mcs, saved_flag, current_trace_train_exe, …) are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange.form import CARRIED, Label, Outgoing, Parsed
from codeprm_jax.traces.interchange.records import need, same_json
from codeprm_jax.traces.trace import Feedback, StepCounts

WHAT = "the release's mc_labels"
_OF_TRACE = ("thought", "avg_pass_rate", "current_trace_code")


def parse_record(record: dict[str, Any]) -> list[Parsed]:
    """The traces of a problem; those without steps are in the first one's rest alone.

    Rest: "trace", the key; "ques_id"; "common", fields that all steps share; "steps", the others;
    "states", whether each step's state is the question and the thoughts up to it and was left out;
    of the first trace "object", the further fields of the record, "traces", all keys, and
    "empty", those of traces without steps.

    Raises InputError that names the trace, the step and the field.
    """
    ques_id = need(record, "ques_id", (int, str), WHAT)
    question = need(record, "question", str, WHAT)
    label = need(record, "label", dict, WHAT)
    carried = record.get(CARRIED, {})
    if not isinstance(carried, dict):
        raise InputError(f"field {CARRIED!r} must be an object; remove or rename it")
    parsed = []
    for key, steps in label.items():
        if steps == []:
            continue
        try:
            parsed.append(_parse_trace(question, ques_id, key, steps, carried.get(key)))
        except InputError as error:
            raise InputError(f"label.{key}: {error}") from error
    if not parsed:
        raise InputError("field 'label' holds no trace with steps")
    own = ("ques_id", "question", "label", CARRIED)
    parsed[0].rest["object"] = {k: v for k, v in record.items() if k not in own}
    parsed[0].rest["traces"] = list(label)
    parsed[0].rest["empty"] = [key for key, steps in label.items() if steps == []]
    return parsed


def build_record(group: Sequence[Outgoing]) -> dict[str, Any]:
    """The object of one problem. Raises InputError on traces that do not belong together."""
    first = group[0].rest
    kept: Mapping[str, Any] = first if first is not None else {}
    traces: dict[str, list[dict[str, Any]]] = {key: [] for key in kept.get("traces", ())}
    carried = {}
    for number, item in enumerate(group):
        key = f"trace_{number}_steps" if item.rest is None else item.rest["trace"]
        if traces.get(key):
            raise InputError(f"two traces of one problem are {key!r}")
        traces[key] = _fresh(item) if item.rest is None else _restored(item)
        if item.carried is not None:
            carried[key] = item.carried
    return {
        "ques_id": kept.get("ques_id", group[0].trace.problem_id),
        "question": group[0].statement,
        "label": traces,
        **kept.get("object", {}),
        **({CARRIED: carried} if carried else {}),
    }


def continues(previous: Outgoing, item: Outgoing) -> bool:
    """Whether `item` belongs to the record of the trace before it."""
    if previous.rest is None or item.rest is None:
        same = previous.trace.problem_id == item.trace.problem_id
        return previous.rest is None and item.rest is None and same
    return "object" not in item.rest and same_json(previous.rest["ques_id"], item.rest["ques_id"])


def counts_of(rest: Mapping[str, Any]) -> tuple[StepCounts, ...] | None:
    """The counts of a trace with this rest; None unless every step has its rollouts."""
    lists = [(rest["common"] | step).get("total_pass_rate_list") for step in rest["steps"]]
    if not all(lists):
        return None
    return tuple(StepCounts(rates.count(1), len(rates), float(sum(rates))) for rates in lists)


def missing(group: Sequence[Outgoing]) -> list[str]:
    """What a record lacks because traces that it was read with are no longer there."""
    first = group[0].rest
    if first is None:
        return []
    if "object" not in first:
        return ["further fields of the problem: its first trace is not there"]
    there = {item.rest["trace"] for item in group if item.rest is not None}
    gone = [key for key in first["traces"] if key not in there and key not in first["empty"]]
    return ["steps of traces that are not there"] if gone else []


def _parse_trace(question: str, ques_id: int | str, key: str, steps: Any, carried: Any) -> Parsed:
    if not isinstance(steps, list):
        raise InputError("a list of steps is needed")
    if carried is not None and not isinstance(carried, str):
        raise InputError(f"field {CARRIED!r} holds no string for it; remove or rename the field")
    thoughts, labels = [], []
    for number, step in enumerate(steps, 1):
        try:
            thought, label = _parse_step(step)
        except InputError as error:
            raise InputError(f"step {number}: {error}") from error
        thoughts.append(thought)
        labels.append(label)
        if step["current_trace_code"] != steps[0]["current_trace_code"]:
            raise InputError(f"step {number} has another current_trace_code than the first")
    others = [{k: v for k, v in step.items() if k not in _OF_TRACE} for step in steps]
    states = all(
        step.get("state") == _state(question, thoughts[:number])
        for number, step in enumerate(others, 1)
    )
    if states:
        for step in others:
            del step["state"]
    common = {
        name: value
        for name, value in others[0].items()
        if all(name in step and same_json(step[name], value) for step in others)
    }
    rest = {
        "trace": key,
        "ques_id": ques_id,
        "states": states,
        "common": common,
        "steps": [{k: v for k, v in step.items() if k not in common} for step in others],
    }
    return Parsed(
        statement=question,
        thoughts=tuple(thoughts),
        labels=tuple(labels),
        rest=rest,
        program=steps[0]["current_trace_code"],
        problem=str(ques_id),
        name=key,
        steps=counts_of(rest),
        carried=carried,
    )


def _parse_step(step: Any) -> tuple[str, Label]:
    if not isinstance(step, dict):
        raise InputError("an object is needed")
    thought = need(step, "thought", str, WHAT)
    need(step, "current_trace_code", str, WHAT)
    label = need(step, "avg_pass_rate", (int, float), WHAT)
    rates = step.get("total_pass_rate_list", [])
    if not isinstance(rates, list):
        raise InputError("field 'total_pass_rate_list' must be a list")
    for rate in [label, *rates]:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise InputError(f"a pass rate is {rate!r}; a number in [0, 1] is needed")
    if rates and abs(sum(rates) / len(rates) - label) > 1e-6:
        raise InputError(f"avg_pass_rate {label} is not the mean of total_pass_rate_list")
    return thought, label


def _state(question: str, thoughts: Sequence[str]) -> str:
    return question + "\n" + "\n".join(thoughts)


def _restored(item: Outgoing) -> list[dict[str, Any]]:
    rest, thoughts = item.rest or {}, item.trace.thoughts
    if len(rest["steps"]) != len(thoughts):
        raise InputError("its thoughts are not those of the record that it was imported from")
    steps = []
    for index, (thought, label) in enumerate(zip(thoughts, item.labels, strict=True)):
        state = {"state": _state(item.statement, thoughts[: index + 1])} if rest["states"] else {}
        own = {
            "thought": thought,
            "avg_pass_rate": label,
            "current_trace_code": item.trace.program,
        }
        steps.append(state | own | rest["common"] | rest["steps"][index])
    return steps


def _fresh(item: Outgoing) -> list[dict[str, Any]]:
    """Steps with what the release's own training reads, and null where nobody knows it."""
    trace, steps = item.trace, []
    for index, (thought, label) in enumerate(zip(trace.thoughts, item.labels, strict=True)):
        assert label is not None
        counts = trace.steps[index] if trace.steps else None
        step = {
            "state": _state(item.statement, trace.thoughts[: index + 1]),
            "thought": thought,
            "mcs": float(counts.reachable if counts else label > 0),
            "avg_pass_rate": float(label),
            "saved_flag": False,
            "current_trace_score": (
                trace.outcome[0] / trace.outcome[1] if trace.outcome and trace.outcome[1] else None
            ),
            "current_trace_train_score": trace.public.pass_rate if trace.public else None,
            "current_trace_code": trace.program,
            "current_trace_train_exe": _failures(trace.public) if trace.public else [],
        }
        if counts:
            step["avg_pass_1"] = counts.success_rate
        steps.append(step)
    return steps


def _failures(feedback: Feedback) -> list[dict[str, str]]:
    return [
        {
            "error": failure.stderr,
            "output": f"Input:\n{failure.input}\nExpected:\n{failure.expected}\n"
            f"Actual ({failure.verdict}):\n{failure.actual}",
        }
        for failure in feedback.failures
    ]
