"""Whole files: every bad line named, every loss counted, nothing half written, nothing held."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange.conversion import ImportOptions, convert, read_record
from codeprm_jax.traces.interchange.export import ExportOptions, build, losses, outgoing
from codeprm_jax.traces.interchange.form import CARRIED, Foreign, Format
from codeprm_jax.traces.trace import Trace
from tests.traces.foreign_records import OURS, PRM, RELEASE, SHEPHERD, STEP, TRL, changed


def run(
    tmp_path: Path, lines: Sequence[str] | Path, source: Format, to: Format, **options: Any
) -> tuple[Any, list[dict[str, Any]]]:
    path = lines if isinstance(lines, Path) else tmp_path / "in.jsonl"
    if not isinstance(lines, Path):
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    summary = convert(path, source, out, to, {"bank/a": "Add."}, **options)
    return summary, [json.loads(line) for line in out.read_text().splitlines()]


def test_bad_lines_are_all_named_and_nothing_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = json.dumps(TRL)
    lines = [good, "{", "", good, '{"prompt": 1}', json.dumps(TRL | {"labels": [True]})]
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(InputError, match=r"line 2: not valid JSON.*3 records are bad.*--skip-bad"):
        run(tmp_path, lines, "trl", "ours")
    assert [f"line {n}" in caplog.text for n in (1, 2, 3, 5, 6)] == [0, 0, 0, 1, 1]
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    caplog.clear()
    summary, records = run(tmp_path, lines, "trl", "ours", skip_bad=True)
    assert [f"line {n}" in caplog.text for n in (1, 2, 3, 5, 6)] == [0, 1, 0, 1, 1]
    assert (summary.traces, summary.left_out) == (2, 3)
    assert [r["id"] for r in records] == ["trl/1", "trl/4"]


def test_losses_are_counted_over_the_file_and_need_consent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [json.dumps(t.to_json()) for t in (OURS, replace(OURS, program="", outcome=None))]
    with pytest.raises(InputError) as error:
        run(tmp_path, lines, "ours", "trl")
    for part in ("feedback (2 of 2 traces)", "outcome (1 of 2", "program (1 of 2", "--carry"):
        assert part in str(error.value)
    assert not (tmp_path / "out.jsonl").exists()
    _, records = run(tmp_path, lines, "ours", "trl", allow_loss=True)
    assert [set(r) for r in records] == [{"prompt", "completions", "labels"}] * 2
    assert caplog.text.count("lost, for trl has no place for it") == 1
    assert caplog.text.count("integer part") == 1
    run(tmp_path, lines, "ours", "trl", exporting=ExportOptions(carry=True))
    with pytest.raises(InputError, match="is an input"):
        run(tmp_path, tmp_path / "out.jsonl", "trl", "ours")
    carried = (tmp_path / "out.jsonl").rename(tmp_path / "carried.jsonl")
    _, records = run(tmp_path, carried, "trl", "ours")
    assert [json.dumps(r) for r in records] == lines


def test_columns_of_two_kinds_are_pointed_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [json.dumps(TRL), json.dumps(TRL | {"labels": [True, False]})]
    _, records = run(tmp_path, lines, "trl", "trl")
    assert [json.dumps(r) for r in records] == lines and "in one column" in caplog.text
    caplog.clear()
    run(tmp_path, lines, "trl", "trl", exporting=ExportOptions(hard_labels=0.5))
    assert not caplog.text


def test_problems_of_the_release_stay_together(tmp_path: Path) -> None:
    """From a folder, a list and lines; two traces a problem; one of them taken away."""
    two = changed(RELEASE, "label.trace_1_steps", [STEP | {"saved_flag": True}])
    problems = [two, two | {"ques_id": 7}, RELEASE]
    folder = tmp_path / "mc_labels"
    folder.mkdir()
    for n, problem in enumerate(problems):
        (folder / f"{n}.json").write_text(json.dumps(problem, indent=1))
    (tmp_path / "list.json").write_text(json.dumps(problems))
    expected = None
    for source in (folder, tmp_path / "list.json", [json.dumps(p) for p in problems]):
        summary, traces = run(tmp_path, source, "release", "ours")
        assert summary.traces == 5 and traces == (expected or traces)
        expected = traces
    lines = [json.dumps(t) for t in expected or ()]
    summary, again = run(tmp_path, lines, "ours", "release")
    assert again == problems and summary.records == 3 and summary.traces == 5
    with pytest.raises(InputError, match="its first trace is not there"):
        run(tmp_path, lines[1:], "ours", "release")
    with pytest.raises(InputError, match="steps of traces that are not there"):
        run(tmp_path, lines[:1], "ours", "release")
    ours = [json.dumps(replace(OURS, id=str(n)).to_json()) for n in range(3)]
    options = {"exporting": ExportOptions(carry=True)}
    _, (record,) = run(tmp_path, ours, "ours", "release", **options)
    assert len(record["label"]) == 3
    _, traces = run(tmp_path, [json.dumps(record)], "release", "ours")
    assert [json.dumps(t) for t in traces] == ours


@st.composite
def damaged(draw: st.DrawFn, record: Any) -> dict[str, Any]:
    """A copy in which one value, at any depth, is another or gone."""
    record = json.loads(json.dumps(record))
    place = record
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if (
            not isinstance(place[key], dict | list)
            or not place[key]
            or draw(st.integers(0, 3)) == 0
        ):
            break
        place = place[key]
    value = draw(st.sampled_from([None, "", "x", 3, -1, 0.5, True, [], [1], {}, {"a": 1}, "gone"]))
    if value == "gone":
        del place[key]
    else:
        place[key] = value
    return record


@pytest.mark.parametrize("form", ["trl", "prm800k", "math_shepherd", "release"])
@settings(max_examples=100)
@given(data=st.data())
def test_damage_is_an_error_of_the_input_and_nothing_else(
    form: Foreign, data: st.DataObject
) -> None:
    """In a foreign record, in a carried one, and in what an import keeps."""
    record = {"trl": TRL, "prm800k": PRM, "math_shepherd": SHEPHERD, "release": RELEASE}[form]
    with contextlib.suppress(InputError):
        read_record(data.draw(damaged(record)), 1, form)
    (trace,) = read_record(dict(record), 1, form)
    hard = None if form == "release" else 0.5
    for line in (trace.to_json(), OURS.to_json()):
        with contextlib.suppress(InputError):
            (again,) = read_record(data.draw(damaged(line)), 1, "ours")
            to = data.draw(st.sampled_from(["trl", "prm800k", "math_shepherd", "release"]))
            options = ExportOptions(hard_labels=None if to == "release" else hard)
            item = outgoing(again, to, {"bank/a": "Add."}, options)
            losses(item, to)
            build([item], to)


def test_a_file_larger_than_memory_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are written as they are read; one line may be huge."""
    import tracemalloc

    path = tmp_path / "in.jsonl"
    with open(path, "w") as file:
        for _ in range(4000):
            file.write(json.dumps(TRL | {"pad": "x" * 5000}) + "\n")
        file.write(json.dumps(TRL | {"completions": ["y" * 3_000_000, "b"]}) + "\n")
    tracemalloc.start()
    summary = convert(path, "trl", tmp_path / "out.jsonl", "ours", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary.traces == 4001
    assert peak < path.stat().st_size // 1.4 < 20_000_000


@pytest.mark.parametrize(
    ("source", "to", "options", "message"),
    [
        ("ours", "trl", {"importing": ImportOptions(trials=2)}, "from elsewhere"),
        ("prm800k", "ours", {"importing": ImportOptions(trials=2)}, "--trials"),
        ("trl", "ours", {"exporting": ExportOptions(carry=True)}, "forms of others"),
        ("ours", "release", {"exporting": ExportOptions(hard_labels=0.5)}, "pass rates"),
        ("ours", "ours", {}, "fields extra hold what"),
        ("trl", "ours", {"skip_bad": True}, "no record could be used"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, source: Format, to: Format, options: dict[str, Any], message: str
) -> None:
    line = json.dumps(OURS.to_json() | {"extra": 1})
    with pytest.raises(InputError, match=message):
        run(tmp_path, [line], source, to, **options)
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        ExportOptions(hard_labels=1.0)
    with pytest.raises(InputError, match="at least 1"):
        ImportOptions(trials=0)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no record"):
        run(tmp_path, [], "trl", "ours")
    with pytest.raises(InputError, match="does not exist"):
        run(tmp_path, tmp_path / "nowhere.jsonl", "trl", "ours")
    with pytest.raises(InputError, match="folder"):
        run(tmp_path, tmp_path, "trl", "ours")
    with pytest.raises(InputError, match=r"no \.json file"):
        run(tmp_path, tmp_path, "release", "ours")


def test_arrow_reads_what_is_written_for_trl(tmp_path: Path, traces: list[Trace]) -> None:
    """The reader under the `datasets` library infers TRL's columns, floats as floats."""
    reader = pytest.importorskip("pyarrow.json")
    path, out = tmp_path / "labelled.jsonl", tmp_path / "trl.jsonl"
    path.write_text("".join(json.dumps(t.to_json()) + "\n" for t in traces))
    statements = {t.problem_id: "Solve it." for t in traces}
    for options, kind in ((ExportOptions(carry=True), "double"),
                          (ExportOptions(hard_labels=0.5, carry=True), "bool")):  # fmt: skip
        convert(path, "ours", out, "trl", statements, exporting=options)
        table = reader.read_json(out)
        assert {f.name: str(f.type) for f in table.schema} == {
            "prompt": "string",
            "completions": "list<item: string>",
            "labels": f"list<item: {kind}>",
            CARRIED: "string",
        }
        assert table.num_rows == len(traces)
    back = tmp_path / "back.jsonl"
    convert(out, "trl", back, "ours", {})
    assert back.read_bytes() == path.read_bytes()
