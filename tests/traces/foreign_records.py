"""A small record of every form, and a labelled trace of ours."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from codeprm_jax.traces.trace import Feedback, StepCounts, Trace

TRL = {"prompt": "Add.", "completions": ["a", "b"], "labels": [0.25, 1.0]}
PRM = {
    "question": {"problem": "Add."},
    "label": {
        "steps": [
            {"completions": [{"text": "a", "rating": 0}], "chosen_completion": 0},
            {"completions": [{"text": "x", "rating": -1}], "human_completion": "b",
             "chosen_completion": None},
            {"completions": [{"text": "c", "rating": -1}, {"text": "d", "rating": 1}],
             "human_completion": None, "chosen_completion": None},
            {"completions": [{"text": "e", "rating": 1}], "chosen_completion": 0},
        ]
    },
}  # fmt: skip
SHEPHERD = {
    "input": "Add 1 + 1. Step 1: One. ки\nStep 2: It is 1+1 - 0. ки",
    "label": "Add 1 + 1. Step 1: One. +\nStep 2: It is 1+1 - 0. -",
    "task": "GSM8K",
}
STEP = {
    "state": "Add.\nThink.",
    "thought": "Think.",
    "avg_pass_rate": 0.75,
    "total_pass_rate_list": [1.0, 0.5],
    "current_trace_code": "print(1)",
    "current_trace_train_exe": [{"error": "", "output": "x"}],
    "saved_flag": False,
}
RELEASE = {
    "ques_id": 4100,
    "question": "Add.",
    "label": {"trace_0_steps": [STEP]},
    "test_reward": 0,
}


OURS = Trace(
    "bank/a#0", "bank/a", ("Read.", "Print."), "print(1)", Feedback(1, 2),
    (StepCounts(1, 4, 2.5), StepCounts(0, 2, 0.5)), (1, 3), {"policy": "x"},
)  # fmt: skip


def changed(record: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a.0.b; "drop" takes it away."""
    record = copy.deepcopy(dict(record))
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place: Any = record
    for parent in parents:
        place = place[parent]
    if value == "drop":
        del place[last]
    else:
        place[last] = value
    return record
