"""The recorded search that scoring is measured on: its structure, and that it can be made again."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codeprm_jax.data.layout import StepInput, View
from codeprm_jax.scoring.scorer import StepScores

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FILE = BENCHMARKS / "data" / "gvr_bank.jsonl.gz"


class AlwaysFirst:
    """Finds every step equally bad. What a search draws first does not depend on its scorer."""

    fingerprint, view, max_tokens = "always first", "thoughts", 1024

    def score_each(self, inputs: Sequence[StepInput], view: View | None = None) -> Any:
        return [StepScores(np.zeros(len(i.thoughts)), 0) for i in inputs]


@pytest.fixture(scope="module")
def gvr_workload() -> Any:
    spec = importlib.util.spec_from_file_location("gvr_workload", BENCHMARKS / "gvr_workload.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_a_round_holds_the_unsolved_and_scores_what_failed(lines: list[dict[str, Any]]) -> None:
    header, *rounds = lines
    assert FILE.stat().st_size < 150_000
    budget = header["search"]["budget"]["amount"]
    before: dict[str, Any] = {}
    for line in rounds:
        problems = [t["problem"] for t in line["traces"]]
        assert len(set(problems)) == len(problems)
        if line["round"] == 0:
            assert set(problems) == set(header["statements"])
        else:
            unsolved = {t["problem"] for t in before["traces"] if failed(t)}
            assert (line["repeat"], line["round"]) == (before["repeat"], before["round"] + 1)
            assert set(problems) == unsolved
        assert all(failed(line["traces"][i]) for i in line["scored"])
        # Two rewrites of a sample, then a fresh one, which the scorer has no part in.
        rewrites = line["round"] % 3 < 2 and line["round"] < budget - 1
        assert len(line["scored"]) == (sum(map(failed, line["traces"])) if rewrites else 0)
        before = line


def test_calls_are_the_failed_attempts_or_all_thoughts(
    gvr_workload: Any, lines: list[dict[str, Any]]
) -> None:
    workload = gvr_workload.read(FILE)
    scored = [line for line in lines[1:] if line["scored"]]
    calls = workload.calls("feedback")
    assert [len(c) for c in calls] == [len(line["scored"]) for line in scored]
    for call, line in zip(calls, scored, strict=True):
        first = line["traces"][line["scored"][0]]
        assert call[0].program == first["program"] and call[0].feedback is not None
        assert call[0].statement == lines[0]["statements"][first["problem"]]
    assert sum(map(len, workload.calls("thoughts"))) == sum(len(x["traces"]) for x in lines[1:])
    some = workload.calls("thoughts", problems=3)
    found = {item.statement for call in some for item in call}
    assert len(found) == 3 and all(some)
    everything = [i for call in workload.calls("thoughts") for i in call if i.statement in found]
    assert [i for call in some for i in call] == everything


def test_the_search_runs_again_as_it_was_recorded(
    gvr_workload: Any, lines: list[dict[str, Any]]
) -> None:
    header, first, *_ = gvr_workload.record("bank", AlwaysFirst(), repeats=1)
    assert {**header, "scorer": ""} == {**lines[0], "scorer": ""}
    assert (
        json.loads(json.dumps(first)) == lines[1]
    )  # the first round, and which of it is scored in the first call


def failed(trace: dict[str, Any]) -> bool:
    return trace["feedback"]["passed"] < trace["feedback"]["total"]
