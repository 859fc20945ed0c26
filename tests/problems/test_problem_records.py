from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from codeprm_jax.problems.loading import load_problems
from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.records import field, load_each, read_records
from codeprm_jax.problems.selection import Selection

RECORDS = [{"a": 1}, {"a": "line separators \u2028 stay inside"}]


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.json", "x.json.gz"])
def test_every_form_gives_the_same_records(tmp_path: Path, name: str) -> None:
    if ".jsonl" in name:
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n\n" for r in RECORDS)
    else:
        text = json.dumps(RECORDS)
    path = _write(tmp_path / name, text.encode())
    assert [record for _, record in read_records(path)] == RECORDS


def test_json_lines_under_the_name_json(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.json", b'{"a": 1}\n{"a": 2}\n')
    assert [record for _, record in read_records(path)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": ', ("line 2", "cut off")),
        ("x.jsonl", b"[1]\n", ("line 1", "object")),
        ("x.jsonl", b"", ("no problem",)),
        ("x.jsonl", b"\xff\xfe", ("UTF-8",)),
        ("x.json", b'[{"a": 1}, ', ("line 1", "cut off")),
        ("x.json", b"[1]", ("item 1", "object")),
    ],
)
def test_damaged_text(tmp_path: Path, name: str, content: bytes, parts: tuple[str, ...]) -> None:
    path = _write(tmp_path / name, content)
    with pytest.raises(ProblemError) as caught:
        list(read_records(path))
    assert all(part in str(caught.value) for part in (str(path), *parts))


def test_damaged_files(tmp_path: Path) -> None:
    plain = tmp_path / "x.jsonl.gz"
    plain.write_bytes(b'{"a": 1}\n')
    with pytest.raises(ProblemError, match="no gzip file"):
        list(read_records(plain))
    plain.write_bytes(gzip.compress(b'{"a": 1}\n' * 500)[:-12])
    with pytest.raises(ProblemError, match="damaged gzip"):
        list(read_records(plain))
    with pytest.raises(ProblemError, match="does not exist"):
        list(read_records(tmp_path / "none.jsonl"))
    with pytest.raises(ProblemError, match="is a folder"):
        list(read_records(tmp_path))


def test_a_field_is_named_when_it_is_missing_or_of_another_type() -> None:
    assert field({"n": 3}, "n", int, "f, line 1", "MBPP") == 3
    with pytest.raises(ProblemError, match=r"f, line 1: field 'n' is missing .*MBPP"):
        field({"m": 3}, "n", int, "f, line 1", "MBPP")
    for wrong in ("3", True, None):
        with pytest.raises(ProblemError, match="field 'n' must be int"):
            field({"n": wrong}, "n", int, "f, line 1", "MBPP")


def test_reading_ends_at_the_limit(tmp_path: Path) -> None:
    """What comes after it is not even parsed: these files may be larger than memory."""
    problem = load_problems("bank?limit=1")[0]
    line = json.dumps(problem.to_json())
    path = _write(tmp_path / "x.jsonl", f"{line}\n{{cut off".encode())
    records = read_records(path)
    assert next(records)[1]["id"] == problem.id
    with pytest.raises(ProblemError, match="line 2"):
        next(records)
    found = load_each(path, lambda record, _: Problem.from_json(record), Selection(limit=1))
    assert found == [problem]


def test_files_of_a_folder_are_one(tmp_path: Path) -> None:
    for number, problem in enumerate(load_problems("bank?limit=2")):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(problem.to_json()) + "\n")
    assert load_problems(f"file:{tmp_path}") == load_problems("bank?limit=2")
    (tmp_path / "2.jsonl").write_bytes((tmp_path / "0.jsonl").read_bytes())
    with pytest.raises(ProblemError, match=r"2\.jsonl, line 1: the id .* a second time"):
        load_problems(f"file:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProblemError, match="a folder with no file of problems"):
        load_problems(f"file:{tmp_path / 'empty'}")
