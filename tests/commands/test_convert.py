"""`codeprm convert`: from the command line, and what its output is good for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codeprm_jax import cli
from codeprm_jax.data.layout import Layout
from codeprm_jax.files import read_jsonl, write_jsonl
from codeprm_jax.problems.loading import write_problems
from codeprm_jax.problems.problem import Problem
from codeprm_jax.traces.dataset import SplitConfig, build_dataset
from codeprm_jax.traces.trace import read_traces
from sandbox_runner.label import label
from tests.scoring.models import save_random_model

PRM800K = {
    "question": {"problem": "What is 1 + 1?", "ground_truth_answer": "2"},
    "label": {
        "steps": [
            {"completions": [{"text": t, "rating": r}], "chosen_completion": 0}
            for t, r in (("One and one are two.", 1), ("So it is 3.", -1))
        ]
    },
}


def convert(source: Path, out: Path, form: str, to: str, *options: str) -> int:
    return cli.run(
        ["convert", str(source), "--from", form, "--to", to, "--out", str(out), *options]
    )


def test_a_refusal_names_the_loss_and_the_ways_out(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trl.jsonl"
    assert convert(labelled, out, "ours", "trl") == 2
    said = capsys.readouterr().err
    for word in ("program", "feedback", "passes and trials", "outcome", "--carry", "--allow-loss"):
        assert word in said
    assert not list(tmp_path.iterdir())
    assert convert(labelled, out, "ours", "trl", "--allow-loss") == 0
    count = len(labelled.read_text().splitlines())
    assert f"{count} traces in {count} lines" in capsys.readouterr().out
    assert convert(labelled, out, "ours", "trl", "--carry") == 0
    assert convert(out, tmp_path / "back.jsonl", "trl", "ours") == 0
    assert "judged" not in capsys.readouterr().out
    assert list(read_jsonl(tmp_path / "back.jsonl")) == list(read_jsonl(labelled))


def test_imported_traces_can_be_scored(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They bring the texts of their problems along; no label is read."""
    source, ours, scores = (tmp_path / f"{n}.jsonl" for n in ("in", "ours", "scores"))
    write_jsonl(source, [PRM800K])
    assert convert(source, ours, "prm800k", "ours") == 0
    assert "1 of them were not judged here: they are for codeprm score" in capsys.readouterr().out
    model = save_random_model(tmp_path / "model", layout.tokenizer)
    arguments = ["score", str(ours), "--model", str(model), "--out", str(scores)]
    assert cli.run(arguments) == 0
    (record,) = read_jsonl(scores)
    assert record["id"] == "prm800k/1" and len(record["scores"]) == 2
    assert cli.run(["build", str(ours), "--data-dir", str(tmp_path / "data")]) == 2
    assert not (tmp_path / "data").exists()


def test_the_release_can_be_trained_on_where_the_tests_are_known(
    labelled: Path, some_problems: list[Problem], tmp_path: Path
) -> None:
    """Programs of the release, judged here again: labels of our own, and a dataset."""
    release, ours, judged = (tmp_path / f"{n}.jsonl" for n in ("release", "ours", "judged"))
    assert convert(labelled, release, "ours", "release", "--allow-loss") == 0
    problems: list[dict[str, Any]] = list(read_jsonl(release))
    assert len(problems) == len(some_problems)
    for problem in problems:  # as the release names them: a number or a name without its source
        problem["ques_id"] = problem["ques_id"].removeprefix("bank/")
    write_jsonl(release, problems)
    assert convert(release, ours, "release", "ours", "--problem-prefix", "bank/") == 0
    write_problems(some_problems, tmp_path / "problems.jsonl")
    label(ours, tmp_path / "problems.jsonl", judged, allow_weak_isolation=True)
    first, again = list(read_traces(labelled)), list(read_traces(judged))
    assert [t.steps for t in again] == [t.steps for t in first]
    public = {p.id: p.public for p in some_problems}
    build_dataset(again, public, tmp_path / "data", SplitConfig(min_trials=2))


def test_an_interrupted_conversion_leaves_the_old_file(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    calls = []

    def dumps(*arguments: Any, **options: Any) -> str:
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    original = json.dumps
    monkeypatch.setattr("codeprm_jax.traces.interchange.conversion.json.dumps", dumps)
    assert convert(labelled, out, "ours", "ours") == 1
    assert out.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
