from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.policies.openai_prompts import (
    MAX_TEST_CHARACTERS,
    OWN_FOLDER,
    PLACEHOLDERS,
    Prompts,
    render_feedback,
    render_problem,
)
from codeprm_jax.policies.policy import ImplementRequest, ProposeRequest, ValueRequest
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import Failure, Feedback
from sandbox_runner.types import CheckTest, FunctionTest, StdinTest

FUNCTION = PublicProblem(
    id="p",
    source="s",
    statement="Double x.\n",
    kind="function",
    entry_point="double",
    starter_code="def double(x):\n",
    tests=(
        FunctionTest("a", (1,), 2, {"y": "z"}),
        CheckTest("b", "assert candidate(3) == 6"),
    ),
)
STDIN = replace(
    FUNCTION, kind="stdin", entry_point=None, starter_code="", tests=(StdinTest("a", "1\n", "2\n"),)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OWN_FOLDER, tmp_path / "prompts"))


def test_a_function_and_a_program_are_described() -> None:
    text = render_problem(FUNCTION)
    for part in (
        "Double x.",
        "must define double,",
        "```python\ndef double(x):\n```",
        "double(1, y='z') returns 2",
        "```python\nassert candidate(3) == 6\n```",
    ):
        assert part in text
    text = render_problem(STDIN)
    assert "standard input" in text and "Input:\n1\nOutput:\n2" in text and "define" not in text


def test_many_and_long_tests_are_shortened() -> None:
    tests = tuple(StdinTest(str(i), f"{i}:" + "x" * 10_000, "y") for i in range(9))
    text = render_problem(replace(STDIN, tests=tests))
    assert text.count("Input:") == 5 and len(text) < 5 * (MAX_TEST_CHARACTERS + 100) + 300


def test_no_private_test_is_shown() -> None:
    prompts = Prompts()
    for entry in ENTRIES:
        problem = entry.problem
        hidden = [t for t in problem.private.tests if isinstance(t, StdinTest)]
        request = ImplementRequest(problem.public, ("Do it.",), 0)
        text = "".join(m["content"] for m in prompts.messages(request, 4))
        assert all(f"Input:\n{t.input.rstrip()}\nOutput" not in text for t in hidden)


def test_feedback_names_what_failed() -> None:
    failures = (
        Failure("a", "WA", "double(1)", "2", "3", ""),
        Failure("b", "RE", "double(2)", "4", "", "Traceback\nValueError: no"),
    )
    text = render_feedback(Feedback(1, 3, failures))
    assert text == (
        "1 of 3 public tests passed.\n\nWA on double(1)\nexpected 2\ngot 3\n\n"
        "RE on double(2)\nexpected 4\nerror ValueError: no"
    )


def test_own_prompts_take_the_place_of_ours_and_have_another_digest(folder: Path) -> None:
    assert Prompts(folder).digest == Prompts().digest
    (folder / "value.txt").write_text("$problem costs $$5 after ${thoughts}?")
    (folder / "system.txt").write_text("")
    prompts = Prompts(folder)
    assert prompts.digest != Prompts().digest
    (message,) = prompts.messages(ValueRequest(STDIN, ("Add.",), 0), 4)
    assert message["role"] == "user" and message["content"].endswith("costs $5 after 1. Add.?")


def test_text_that_is_no_placeholder_stays_as_it_is() -> None:
    request = ProposeRequest(replace(STDIN, statement="Pay $problem or $5 \ud800."), (), 0)
    _, message = Prompts().messages(request, 4, 4)
    assert "Pay $problem or $5 ?." in message["content"]
    assert "(none yet)" in message["content"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("propose", "$problem $example", r"propose\.txt: unknown placeholder \$example; known are"),
        ("value", "$problem $5", r"value\.txt has a \$ that begins no placeholder; write \$\$"),
        ("locate", None, r"locate\.txt is missing; copy those of"),
        ("system", b"\xff", r"system\.txt cannot be read"),
    ],
)
def test_prompt_files_that_cannot_be_used(
    folder: Path, name: str, text: str | bytes | None, message: str
) -> None:
    path = folder / f"{name}.txt"
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError, match=message):
        Prompts(folder)


def test_our_prompts_use_every_placeholder() -> None:
    for name, known in PLACEHOLDERS.items():
        text = (OWN_FOLDER / f"{name}.txt").read_text()
        assert all(f"${placeholder}" in text for placeholder in known), name
