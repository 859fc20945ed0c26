from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from codeprm_jax.files import InputError, read_valid_prefix
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.problem import Problem
from codeprm_jax.search.collect import CollectConfig, collect, collect_problem
from codeprm_jax.traces.trace import Trace

CONFIG = CollectConfig(rollouts=8, min_trials=3, seed=5)


def test_every_prefix_of_the_first_rollouts_has_enough_trials(
    some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    traces = collect_problem(some_problems[0].public, bank_policy, CONFIG)
    through = Counter(t.thoughts[:d] for t in traces for d in range(1, len(t.thoughts)))
    for trace in traces[: CONFIG.rollouts]:
        for depth in range(1, len(trace.thoughts)):
            assert through[trace.thoughts[:depth]] >= CONFIG.min_trials
    by_id = {t.id: t for t in traces}
    for trace in traces[CONFIG.rollouts :]:
        parent, depth = trace.provenance["parent"]
        assert trace.thoughts[:depth] == by_id[parent].thoughts[:depth]


def test_a_killed_collection_goes_on_to_the_same_file(
    tmp_path: Path, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    public = [p.public for p in some_problems[:3]]
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    collect(public, bank_policy, whole, CONFIG)
    content = whole.read_bytes()
    for share in (0.3, 0.5, 0.97):
        cut.write_bytes(content[: int(len(content) * share)])
        assert collect(public, bank_policy, cut, CONFIG) == len(read_valid_prefix(whole))
        assert cut.read_bytes() == content


def test_other_settings_are_refused(
    tmp_path: Path, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    public = [some_problems[0].public]
    collect(public, bank_policy, tmp_path / "t.jsonl", CONFIG)
    with pytest.raises(InputError, match="name another --out"):
        collect(public, bank_policy, tmp_path / "t.jsonl", CollectConfig(8, 3, seed=6))


def test_traces_round_trip(traces: list[Trace]) -> None:
    assert all(Trace.from_json(t.to_json()) == t for t in traces)
