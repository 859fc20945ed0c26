"""All sources alike: `codeprm problems` works with each, and help and documents name each."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from codeprm_jax import cli
from codeprm_jax.problems.loading import SOURCES, load_problems
from codeprm_jax.problems.problem import PublicProblem
from tests.problems import (
    test_apps,
    test_code_contests,
    test_codeforces,
    test_evalplus,
    test_livecodebench,
)
from tests.problems.contest_files import assert_sound, write_lines

ROOT = Path(__file__).resolve().parents[2]


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def codeprm(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        capfd.readouterr()
        return Result(cli.run(arguments), *capfd.readouterr())

    return run


# (source, record, whether it has a reference solution)
SAMPLES = [
    ("apps", test_apps.STDIN, True),
    ("apps", test_apps.CALLS, True),
    ("code_contests", test_code_contests.RECORD, True),
    ("codeforces", {**test_codeforces.RELEASE, "id": "1/A"}, True),
    ("codeforces", test_codeforces.OPEN_R1, False),
    ("livecodebench", test_livecodebench.STDIN, False),
    ("livecodebench", test_livecodebench.CALLS, False),
    ("humanevalplus", test_evalplus.HUMAN, True),
    ("humanevalplus", test_evalplus.NATIVE, True),
    ("mbppplus", test_evalplus.MBPP, True),
    ("mbppplus", test_evalplus.MBPP_NATIVE, True),
]


# One of each kind: a pool of judges takes a second to open.
@pytest.mark.parametrize(("source", "record", "solved"), SAMPLES[::2])
def test_the_commands_work_with_every_source(
    tmp_path: Path,
    codeprm: Callable[..., Result],
    source: str,
    record: dict[str, object],
    solved: bool,
) -> None:
    spec = f"{source}:{write_lines(tmp_path / 'x.jsonl', record)}"
    (problem,) = load_problems(spec)
    assert_sound([problem])
    listed = codeprm("problems", "list", "--problems", f"{spec}?limit=1")
    assert listed.returncode == 0 and problem.id in listed.stdout
    shown = codeprm("problems", "show", problem.id, "--problems", spec)
    assert shown.returncode == 0 and problem.public.statement.strip() in shown.stdout
    checked = codeprm(
        "problems", "check", "--problems", spec, "--workers", "1", "--allow-weak-isolation"
    )
    assert checked.returncode == (0 if solved else 1), checked.stderr
    assert f"{int(solved)} of 1 reference solutions pass" in checked.stdout
    out = tmp_path / "out.jsonl"
    exported = codeprm("problems", "export", "--problems", spec, "--out", str(out))
    assert exported.returncode == 0
    assert load_problems(f"file:{out}") == [problem]


@pytest.mark.parametrize(("source", "record", "solved"), SAMPLES)
def test_no_private_test_is_in_the_public_half(
    tmp_path: Path, source: str, record: dict[str, object], solved: bool
) -> None:
    (problem,) = load_problems(f"{source}:{write_lines(tmp_path / 'x.jsonl', record)}")
    assert type(problem.public) is PublicProblem
    public = [json.dumps({**t.to_json(), "id": ""}) for t in problem.public.tests]
    for test in problem.private.tests:
        assert json.dumps({**test.to_json(), "id": ""}) not in public
        assert test not in problem.public.tests


def test_every_source_of_files_has_a_sample() -> None:
    assert {s for s, _, _ in SAMPLES} == set(SOURCES) - {"bank", "file", "humaneval", "mbpp"}


def test_help_and_documents_name_every_source() -> None:
    document = (ROOT / "docs/problems.md").read_text()
    for name in set(SOURCES) - {"bank"}:
        assert f"`{name}:PATH`" in document, name
    told = 0
    for path in sorted((ROOT / "codeprm_jax/commands").glob("*.py")):
        for function in ast.parse(path.read_text()).body:
            if isinstance(function, ast.FunctionDef) and function.name == "main":
                arguments = [*function.args.args, *function.args.kwonlyargs]
                if "problems" in [a.arg for a in arguments]:
                    told += 1
                    words = set(re.findall(r"\w+", ast.get_docstring(function) or ""))
                    assert set(SOURCES) <= words, path.name
    assert told >= 6
