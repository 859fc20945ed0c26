"""The page about a run: its numbers are those of the run, and nothing in it can get out of hand."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_parser import PageParser

from codeprm_jax.data.layout import StepInput
from codeprm_jax.evaluation import report_readings, report_search
from codeprm_jax.evaluation.benchmark import BenchmarkConfig, run_benchmark
from codeprm_jax.evaluation.page import clipped, pre, text
from codeprm_jax.evaluation.prm_metrics import evaluate_records
from codeprm_jax.evaluation.report import write_report
from codeprm_jax.files import InputError, read_json, read_jsonl, write_json, write_jsonl
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.problem import Problem
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.search.arms import ALL_ARMS, CORE_ARMS
from codeprm_jax.search.ledger import Budget
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import Feedback, StepCounts, Trace
from sandbox_runner.pool import Pool

HOSTILE = "</pre></details><script>alert('x')</script><img src=x onerror=alert(1)>&amp; \"'"
STRANGE = "\x00\x1b[31m\ud800 \u202eabc\u2066 \r\n\tend ✓ $x^$ \uffff"


class LengthScorer(Scorer):
    """Scores by the length of the thoughts: different ones, and the same each time."""

    fingerprint, view, views, max_tokens = "length", "thoughts", ("thoughts",), 64

    def score_each(
        self, inputs: Sequence[StepInput], view: object = None
    ) -> list[StepScores | InputError]:
        return [
            StepScores(np.array([len(t) % 10 / 10 for t in i.thoughts], np.float32), 5)
            for i in inputs
        ]


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    pool: Pool,
    some_problems: list[Problem],
    bank_policy: MutationPolicy,
) -> Path:
    """Every arm on three problems, and the page about it."""
    out = tmp_path_factory.mktemp("report") / "run"
    problems = some_problems[:3]
    groups = {p.id: "seen <i>" if i else "unseen" for i, p in enumerate(problems)}
    config = BenchmarkConfig(Budget(6), repeats=2)
    run_benchmark(problems, groups, bank_policy, pool, LengthScorer(), out, ALL_ARMS, config)
    write_report(out)
    return out


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def page_of(folder: Path) -> PageParser:
    return PageParser(write_report(folder).read_text(encoding="utf-8"))


def test_the_page_stands_alone_and_holds_the_summary(
    run: Path, some_problems: list[Problem]
) -> None:
    page = PageParser((run / "report.html").read_text())
    summary = read_json(run / "summary.json")
    for group in summary["groups"].values():
        for arm, values in group["arms"].items():
            mean, low, high = values["pass_at_1"]
            assert arm in page.text
            assert f"{mean:.3f} [{low:.3f}, {high:.3f}]" in page.text
            assert f"{values['spent']['generated_tokens']:,.0f}" in page.text
    assert "simulated" in page.text and "6 executions for every search" in page.text
    assert some_problems[0].public.statement[:60] in page.text
    assert "18 arms make 153 pairs" in page.text and "about 7.7 of 153" in page.text


def test_pictures_say_what_they_show_and_take_the_pages_colours(run: Path) -> None:
    page = PageParser((run / "report.html").read_text())
    pictures = [a for tag, a in page.attributes if tag == "svg" and "aria-hidden" not in a]
    assert len(pictures) >= 2 * (3 + 1)
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in pictures)
    for drawn in re.findall(r"<svg role.*?</svg>", (run / "report.html").read_text(), re.DOTALL):
        assert not re.findall(r"[:\"] ?#[0-9a-f]{6}", drawn), "a colour that no dark page changes"


def test_tables_name_their_rows_and_columns(run: Path) -> None:
    page = PageParser((run / "report.html").read_text())
    scopes = [a.get("scope") for tag, a in page.attributes if tag == "th"]
    assert scopes and set(scopes) == {"row", "col"}


def test_the_matrix_marks_what_excludes_zero(run: Path) -> None:
    summary = read_json(run / "summary.json")
    shown = report_search.differences(summary)
    marked = sum(
        low > 0 or high < 0
        for group in summary["groups"].values()
        for _, low, high in group["versus"].values()
    )
    assert len(re.findall(r"<td[^>]*>[+−][\d.]+\*</td>", shown)) == marked > 0
    cells = len(summary["groups"]) * len(ALL_ARMS) * (len(ALL_ARMS) - 1)
    assert len(re.findall(r'<td[^>]* title="', shown)) == cells


def test_spending_above_the_budget_is_loud(run: Path) -> None:
    summary = read_json(run / "summary.json")
    assert "above the budget" not in report_search.arms(summary)
    summary["groups"]["unseen"]["arms"]["sampling"]["most_spent"] = 7
    assert "7: above the budget" in report_search.arms(summary)


def test_hostile_text_stays_text(copy: Path) -> None:
    def spoil(value: Any) -> Any:
        match value:
            case str():
                return HOSTILE + STRANGE
            case list():
                return [spoil(v) for v in value]
            case dict():
                return {k: spoil(v) for k, v in value.items()}
        return value

    records = list(read_jsonl(copy / "results.jsonl"))
    for record in records:
        record["problem_id"] += HOSTILE
        record["ended"] = HOSTILE
        for attempt in record["attempts"]:
            for key in ("thoughts", "program", "feedback"):
                attempt[key] = spoil(attempt[key])
        for node in record["tree"]:
            node["thought"] = spoil(node["thought"])
    write_jsonl(copy / "results.jsonl", records)
    statements = read_json(copy / "statements.json")
    write_json(copy / "statements.json", {k + HOSTILE: HOSTILE for k in statements})
    summary = json.dumps(read_json(copy / "summary.json"))
    settings = json.dumps(read_json(copy / "settings.json"))
    for name, content in (("summary.json", summary), ("settings.json", settings)):
        written = content.replace("mutation(", json.dumps(HOSTILE + STRANGE)[1:-1])
        written = written.replace("GVR last", json.dumps(HOSTILE + "$x^$")[1:-1])
        (copy / name).write_text(written)
    hostile = [r | {"arm": HOSTILE + "$x^$"} if r["arm"] == "GVR last" else r for r in records]
    write_jsonl(copy / "results.jsonl", hostile)
    page = page_of(copy)
    assert "script" not in page.tags and "img" not in page.tags
    assert page.text.count(HOSTILE) > 100
    assert "\\x1b[31m\\ud800 \\u202eabc" in page.text


@given(st.text(st.characters(codec=None), max_size=60) | st.just(HOSTILE + STRANGE))
def test_any_text_can_be_shown(value: str) -> None:
    shown = text(value)
    shown.encode("utf-8")
    page = PageParser(f"<p title={chr(34)}{shown}{chr(34)}>{shown}</p><div>{pre(value, 20)}</div>")
    assert page.tags == ["p", "div", "pre"]
    if value.isascii() and value.isprintable():
        assert html.unescape(shown) == value


@given(st.text(max_size=30), st.integers(0, 30))
def test_clipped_text_says_how_much_is_missing(value: str, most: int) -> None:
    shown = clipped(value, most)
    if len(value) <= most:
        assert shown == text(value)
    else:
        assert shown.startswith(text(value[:most]))
        assert shown.endswith(f"{len(value) - most} more characters")


def test_what_is_missing_or_more_than_the_summary_knows_is_said(copy: Path) -> None:
    records = list(read_jsonl(copy / "results.jsonl"))
    write_jsonl(copy / "results.jsonl", [records[0] | {"arm": "older"}, *records])
    with open(copy / "results.jsonl", "rb+") as file:
        size = file.seek(0, 2) - 40  # another process is in the middle of a line
        file.truncate(size)
    (copy / "statements.json").unlink()
    (copy / "stages.json").unlink()
    summary = read_json(copy / "summary.json")
    write_json(copy / "summary.json", summary | {"simulated": False})
    page = page_of(copy)
    assert "Not on this page: 1 of the searches in results.jsonl" in page.text
    assert "has not come to its end" in page.text
    assert (copy / "results.jsonl").stat().st_size == size, "another's file was cut"
    assert "The statement is not in this folder" in page.text
    assert "It was not recorded in this folder" in page.text
    assert "simulated" not in page.text


def test_folders_that_are_no_run_are_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither quickstart\.json nor summary\.json"):
        write_report(tmp_path)
    settings = read_json(copy / "settings.json")
    write_json(copy / "settings.json", {k: v for k, v in settings.items() if k != "arms"})
    with pytest.raises(InputError, match="search again"):
        write_report(copy)
    (copy / "summary.json").unlink()
    with pytest.raises(InputError, match="not complete"):
        write_report(copy)


def test_the_bound_of_the_busiest_stage() -> None:
    stage = {"capacity": 2, "done": 9, "worked_seconds": 16.0, "busy_seconds": 9.0}
    other = {"capacity": 8, "done": 9, "worked_seconds": 20.0, "busy_seconds": 5.0}
    starts = [{"wall_seconds": 10.0, "stages": {"generation": other, "execution": stage}}]
    shown = PageParser(report_readings.stages(starts)).text
    assert "execution, needs 8.0 s" in shown and "1.25 times that" in shown
    assert "80.0 %" in shown and "25.0 %" in shown and "90.0 %" in shown


def test_a_quickstart_has_its_own_sections_too(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    shutil.copytree(copy, folder / "search")
    split = {"problems": 1, "traces": 2, "steps": 4, "mean_trials": 7.5, "reachable_share": 0.25}
    split |= {"mean_label": {"pass_rate": 0.5, "success_rate": 0.125}, "solved_share": 0.5}
    statistics = {"left_out": {"duplicate": 31}, "splits": {"train": split, "test_seen": split}}
    write_json(folder / "data" / "statistics.json", statistics)
    counts = (StepCounts(2, 4, 3.0), StepCounts(0, 4, 1.0))
    failed, passed = Feedback(1, 2), Feedback(2, 2)
    traces = [
        Trace("a", "p", ("one thought", "another"), "pass", failed, counts, (1, 4)),
        Trace("b", "p", ("one thought", "a third one"), "pass", passed, counts, (4, 4)),
    ]
    records = [Record(trace, "statement") for trace in traces]
    found = evaluate_records(records, LengthScorer(), "success_rate", 0.1)
    write_json(folder / "evaluation.json", {"splits": {"test_seen": found, "test": found}})
    stages = {"collect": {"seconds": 1.5, "note": "7 traces"}}
    write_json(
        folder / "quickstart.json",
        {"problems": "bank", "settings": {"seed": 3}, "tier": "T1", "stages": stages},
    )
    sizes = {"traces": 5, "tokens": 900, "utilisation": 0.9}
    training = {"num_params": 12345, "total_steps": 2, "train": sizes}
    machine = {"hardware": {"platform": "cpu"}, "versions": {"jax": "0.0.1"}}
    write_json(folder / "train" / "run.json", training | machine)
    steps = [
        {"split": "train", "step": i, "loss": 1 / i, "tokens": 100, "seconds": 0.5} for i in (1, 2)
    ]
    write_jsonl(
        folder / "train" / "metrics.jsonl",
        [*steps, {"split": "validation", "step": 2, "mse": 0.1, "mae": 0.2}],
    )
    page = page_of(folder)
    for part in ("12,345", "copy full outcome", "31 × duplicate", "7 traces", "T1", "GVR PRM"):
        assert part in page.text
    assert f"{found['prm']['auroc']:.3f}" in page.text


def test_few_arms_make_a_page(
    tmp_path: Path, pool: Pool, some_problems: list[Problem], bank_policy: MutationPolicy
) -> None:
    """One arm has no pair, no PRM has no calibration, and a budget in seconds says its costs."""
    config = BenchmarkConfig(Budget(20, "seconds"), repeats=1)
    problems = some_problems[:2]
    groups = {p.id: "all" for p in problems}
    run_benchmark(problems, groups, bank_policy, pool, None, tmp_path, CORE_ARMS[:1], config)
    page = page_of(tmp_path)
    assert "no attempt was scored by a PRM" in page.text and "Nothing was rewritten" in page.text
    assert "0.02 s a generated token" in page.text and "one arm alone has none" in page.text
    assert "1 arm at one budget" in page.text and "arms make" not in page.text
