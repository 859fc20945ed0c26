from __future__ import annotations

import json
from pathlib import Path

import pytest

from codeprm_jax.problems.loading import SOURCES, load_chains, load_problems, write_problems
from codeprm_jax.problems.problem import PrivateTests, Problem, ProblemError, PublicProblem
from sandbox_runner.types import FunctionTest, Limits, StdinTest

FUNCTION = Problem(
    PublicProblem(
        id="own/inc",
        source="own",
        statement="Add one.",
        kind="function",
        entry_point="inc",
        starter_code="",
        tests=(FunctionTest("public-0", (1,), 2),),
        limits=Limits(cpu_s=1.0),
    ),
    PrivateTests((FunctionTest("private-0", ({(1, 2): {3}},), float("inf"), {"k": b"x"}),)),
    ("def inc(x):\n    y = x + 1\n    return y\n",),
)
STDIN = Problem(
    PublicProblem(
        id="own/echo",
        source="own",
        statement="Echo.",
        kind="stdin",
        entry_point=None,
        starter_code="",
        tests=(),
    ),
    PrivateTests((StdinTest("private-0", "a\n", "a\n"),)),
    ("line = input()\nprint(line)\n",),
)


@pytest.mark.parametrize(
    "spec", ["", "nothing", "other:x", "humaneval", "mbpp:", "file: ", "bank:x", "apps?limit=1"]
)
def test_a_wrong_spec_lists_the_forms(spec: str) -> None:
    with pytest.raises(ProblemError, match=r"bank, humaneval:PATH, .*apps:PATH, .* or file:PATH"):
        load_problems(spec)
    with pytest.raises(ProblemError, match="bank, humaneval:PATH"):
        load_chains(spec, [])


@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"bank"}))
def test_a_missing_file_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(ProblemError, match=r"none\.jsonl does not exist"):
        load_problems(f"{source}:{tmp_path / 'none.jsonl'}")


def test_written_problems_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "problems.jsonl"
    write_problems([FUNCTION, STDIN], path)
    assert load_problems(f"file:{path}") == [FUNCTION, STDIN]
    assert [p.name for p in path.parent.iterdir()] == ["problems.jsonl"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "problems.jsonl"
    write_problems([FUNCTION], path)
    before = path.read_bytes()

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codeprm_jax.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_problems([STDIN], path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["problems.jsonl"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"private": []}, "no private tests"),
        ({"private": [{"id": "x"}]}, "fit no kind of test"),
        ({"references": "def inc"}, "field 'references' must be list"),
        ({"references": [1]}, "list of strings"),
        ({"statement": None}, "field 'statement' must be str"),
        ({"kind": "guess"}, "guess"),
        ({"limits": {"cpu": 1}}, "unknown limits"),
    ],
)
def test_exported_lines_are_validated(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "problems.jsonl"
    lines = [STDIN.to_json(), {**FUNCTION.to_json(), **change}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ProblemError, match=rf"problems\.jsonl, line 2.*{message}"):
        load_problems(f"file:{path}")


def test_chains_of_a_file_come_from_its_references(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    write_problems([FUNCTION, STDIN], path)
    chains = load_chains(f"file:{path}", [FUNCTION, STDIN])
    assert chains["own/inc"].reference == FUNCTION.references[0]
    assert chains["own/echo"].reference == STDIN.references[0]


def test_a_problem_without_a_reference_has_no_chain() -> None:
    bare = Problem(FUNCTION.public, FUNCTION.private)
    with pytest.raises(ProblemError, match=r"own/inc.*no reference solution"):
        load_chains("file:x", [bare])


def test_the_bank_and_its_chains() -> None:
    problems = load_problems("bank")
    chains = load_chains("bank", problems)
    assert [p.id for p in problems] == list(chains)
    assert all(chains[p.id].reference == p.references[0] for p in problems)
    with pytest.raises(ProblemError, match="holds no problem 'own/inc'"):
        load_chains("bank", [FUNCTION])
