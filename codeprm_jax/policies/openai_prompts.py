"""What a model server is asked, in files that a user can replace.

One file for each kind of request and one for the system message, with `$name` placeholders. A
folder of one's own must hold all of them: a run says which prompts it used by their digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from string import Template

from codeprm_jax.files import InputError
from codeprm_jax.policies.openai_parsing import fenced, numbered
from codeprm_jax.policies.policy import (
    ImplementRequest,
    LocateRequest,
    ProposeRequest,
    RefineRequest,
    Request,
    ReviseRequest,
    ValueRequest,
)
from codeprm_jax.problems.problem import PublicProblem, describe_test
from codeprm_jax.traces.feedback_text import render_failure, render_verdicts
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.types import CheckTest

OWN_FOLDER = Path(__file__).parent / "prompts"

# Each file's placeholders; docs/policies.md says what they stand for.
PLACEHOLDERS: dict[str, frozenset[str]] = {
    "system": frozenset(),
    "propose": frozenset({"problem", "thoughts", "first", "count", "planned"}),
    "implement": frozenset({"problem", "thoughts"}),
    "refine": frozenset({"problem", "thoughts", "program", "feedback", "step", "thought"}),
    "revise": frozenset({"problem", "thoughts", "program", "feedback", "planned"}),
    "locate": frozenset({"problem", "thoughts", "program", "feedback", "count"}),
    "value": frozenset({"problem", "thoughts", "planned"}),
}
MAX_TESTS = 5  # public tests that a prompt shows
MAX_TEST_CHARACTERS = 1500  # of each; its middle is left out


class Prompts:
    """The prompt files of a folder, read and checked once.

    Attributes:
      digest: 8 hexadecimal digits of all files' texts.

    Raises:
      InputError: a file is missing or unreadable, or has a placeholder that is unknown or
        malformed; names the file and the placeholder.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        folder = OWN_FOLDER if folder is None else Path(folder)
        self._templates = {name: _read(folder, name) for name in PLACEHOLDERS}
        texts = "\0".join(self._templates[name].template for name in PLACEHOLDERS)
        self.digest = hashlib.blake2b(texts.encode(), digest_size=4).hexdigest()

    def messages(self, request: Request, planned: int, count: int = 0) -> list[dict[str, str]]:
        """The messages of a request.

        Args:
          planned: thoughts of a whole plan, at most.
          count: thoughts that are asked for, of a ProposeRequest.
        """
        values: dict[str, object] = {"problem": render_problem(request.problem)}
        match request:
            case ProposeRequest():
                name, thoughts = "propose", request.prefix
                values |= {"first": len(thoughts) + 1, "count": count, "planned": planned}
            case ImplementRequest():
                name, thoughts = "implement", request.thoughts
            case RefineRequest():
                name, thoughts = "refine", request.thoughts
                values |= _attempt(request.program, request.feedback)
                values |= {"step": request.step + 1, "thought": thoughts[request.step]}
            case ReviseRequest():
                name, thoughts = "revise", request.thoughts
                values |= _attempt(request.program, request.feedback) | {"planned": planned}
            case LocateRequest():
                name, thoughts = "locate", request.thoughts
                values |= _attempt(request.program, request.feedback) | {"count": len(thoughts)}
            case ValueRequest():
                name, thoughts = "value", request.prefix
                values |= {"planned": planned}
        values["thoughts"] = render_thoughts(thoughts)
        texts = {
            "system": self._templates["system"].template,
            "user": self._templates[name].substitute(values),
        }
        # Tests and programs may hold what UTF-8 cannot; servers with no system message get none.
        plain = {r: t.encode("utf-8", "replace").decode().strip() for r, t in texts.items()}
        return [{"role": r, "content": t} for r, t in plain.items() if t]


def render_problem(problem: PublicProblem) -> str:
    """Statement, how the program is run, starter code and public tests."""
    parts = [problem.statement.strip()]
    if problem.kind == "function":
        parts.append(
            f"The program must define {problem.entry_point}, at the top level; it is called from "
            "outside. Include every import that it needs."
        )
    else:
        parts.append(
            "The program reads everything from standard input and writes its answer to standard "
            "output, and nothing else."
        )
    if problem.starter_code.strip():
        parts.append(f"It begins with, or fits, this code:\n{fenced(problem.starter_code)}")
    shown = problem.tests[:MAX_TESTS]
    if shown:
        parts.append("Examples:")
    for test in shown:
        given, expected = describe_test(test, problem.entry_point)
        if isinstance(test, CheckTest):
            parts.append(fenced(_shorten(given)))
        elif problem.kind == "function":
            parts.append(f"{_shorten(given)} returns {_shorten(expected)}")
        else:
            parts.append(
                f"Input:\n{_shorten(given.rstrip())}\nOutput:\n{_shorten(expected.rstrip())}"
            )
    return "\n\n".join(parts)


def render_thoughts(thoughts: Sequence[str]) -> str:
    """A numbered list, or that there is none yet."""
    return numbered(thoughts) or "(none yet)"


def render_feedback(feedback: Feedback) -> str:
    """How many tests passed, then the failing ones, a blank line between any two."""
    return "\n\n".join([render_verdicts(feedback), *map(render_failure, feedback.failures)])


def _attempt(program: str, feedback: Feedback) -> dict[str, object]:
    shown = fenced(program) if program.strip() else "(none was written)"
    return {"program": shown, "feedback": render_feedback(feedback)}


def _shorten(text: str) -> str:
    if len(text) <= MAX_TEST_CHARACTERS:
        return text
    half = MAX_TEST_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"


def _read(folder: Path, name: str) -> Template:
    path = folder / f"{name}.txt"
    try:
        template = Template(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"the prompt file {path} is missing; copy those of {OWN_FOLDER} and change them"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the prompt file {path} cannot be read: {error}") from error
    if name == "system":  # sent as it is
        return template
    if not template.is_valid():
        raise InputError(f"{path} has a $ that begins no placeholder; write $$ for the sign itself")
    if unknown := sorted(set(template.get_identifiers()) - PLACEHOLDERS[name]):
        raise InputError(
            f"{path}: unknown placeholder ${unknown[0]}; known are "
            f"{', '.join('$' + p for p in sorted(PLACEHOLDERS[name]))}"
        )
    return template
