from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.problems.problem import Problem
from codeprm_jax.traces.dataset import (
    SPLITS,
    SplitConfig,
    assign_splits,
    build_dataset,
    open_split,
    read_split,
    read_statistics,
    split_problems,
)
from codeprm_jax.traces.trace import StepCounts, Trace, read_traces

CONFIG = SplitConfig(min_trials=2)


def test_what_was_built_is_read_back(data_dir: Path, traces: list[Trace]) -> None:
    splits, _ = assign_splits(traces, CONFIG)
    for name in SPLITS:
        found = {r.trace.id: r for r in read_split(data_dir, name)}
        assert set(found) == {t.id for t in splits[name]}
        for trace in splits[name]:
            again = found[trace.id].trace
            assert replace(again, provenance=trace.provenance) == trace
        assert len(open_split(data_dir, name)) == len(splits[name])
        assert read_statistics(data_dir)["splits"][name]["traces"] == len(splits[name])


def test_splits_share_no_problem_and_no_thoughts(data_dir: Path) -> None:
    problems = {name: {r.trace.problem_id for r in read_split(data_dir, name)} for name in SPLITS}
    for first in ("train", "validation", "test"):
        for second in ("train", "validation", "test"):
            assert first == second or not problems[first] & problems[second]
    assert problems["test_seen"] <= problems["train"]
    thoughts = {
        name: {(r.trace.problem_id, r.trace.thoughts) for r in read_split(data_dir, name)}
        for name in ("train", "test_seen")
    }
    assert not thoughts["train"] & thoughts["test_seen"]


def test_every_problem_is_in_a_split_and_none_is_empty() -> None:
    for count in range(3, 40):
        ids = [f"p{i}" for i in range(count)]
        split = split_problems(ids, SplitConfig())
        assert set(split) == set(ids) and set(split.values()) == {"train", "validation", "test"}
    with pytest.raises(InputError, match="at least 3"):
        split_problems(["a", "b"], SplitConfig())


def test_labels_are_the_counts_of_the_rollouts_through_a_step(traces: list[Trace]) -> None:
    """Against a recount from the traces' own outcomes."""
    for trace in traces[::7]:
        for depth, counts in enumerate(trace.steps or (), 1):
            through = [
                t
                for t in traces
                if t.problem_id == trace.problem_id and t.thoughts[:depth] == trace.thoughts[:depth]
            ]
            rates = [t.outcome[0] / t.outcome[1] for t in through if t.outcome]
            expected = StepCounts(sum(r == 1 for r in rates), len(rates), sum(rates))
            assert (counts.passes, counts.trials) == (expected.passes, expected.trials)
            assert abs(counts.pass_rate_sum - expected.pass_rate_sum) < 1e-9


def test_a_failed_build_leaves_the_old_dataset(
    tmp_path: Path, traces: list[Trace], some_problems: list[Problem]
) -> None:
    public = {p.id: p.public for p in some_problems}
    build_dataset(traces, public, tmp_path / "data", CONFIG)
    before = read_statistics(tmp_path / "data")
    with pytest.raises(InputError, match="unknown problem"):
        build_dataset(traces, {}, tmp_path / "data", CONFIG)
    assert read_statistics(tmp_path / "data") == before
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_unlabelled_and_malformed_traces_are_refused(tmp_path: Path, traces: list[Trace]) -> None:
    with pytest.raises(InputError, match="sandbox-runner label"):
        assign_splits([replace(t, steps=None) for t in traces], CONFIG)
    with pytest.raises(InputError, match="would be empty"):
        assign_splits(traces, SplitConfig(min_trials=10_000))
    path = tmp_path / "bad.jsonl"
    path.write_text('{"schema": 1, "id": "x"}\n')
    with pytest.raises(InputError, match=r"line 1: trace 'x'"):
        list(read_traces(path))
    with pytest.raises(InputError, match="codeprm build"):
        read_split(tmp_path, "train")


def test_a_folder_that_is_no_dataset_is_never_touched(
    tmp_path: Path, traces: list[Trace], some_problems: list[Problem]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    public = {p.id: p.public for p in some_problems}
    with pytest.raises(InputError, match="no dataset of ours"):
        build_dataset(traces, public, tmp_path, CONFIG)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_two_traces_of_one_id_are_refused(traces: list[Trace]) -> None:
    with pytest.raises(InputError, match="two traces have the id"):
        assign_splits([*traces, traces[0]], CONFIG)
