"""What the sources of contest problems share: tests from files of others, and what is left out.

Tests. Two tests with the same input are one; where their outputs differ, more than one answer is
right, and the problem cannot be judged by comparison. A test whose input or output is longer than
MAX_TEST_KIB is passed over, and a warning counts the problems that have some.

Comparing. Whole programs: all white space alike ("tokens"), as most contests do it; where some
expected output holds a number with a decimal point, numbers may differ by 1e-6, absolute or
relative ("float:1e-06,1e-06"; whole numbers stay exact). Functions: by ==, but a tuple is as good
as a list, for JSON has no tuples ("json").

Limits. A problem's own CPU limit, between CPU_S; three times as much elapsed time; its own memory
limit, between MEMORY_MIB, because the interpreter's objects are larger than those of C++; output up
to twice the longest expected one.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from codeprm_jax.files import listed
from codeprm_jax.problems.problem import (
    Kind,
    PrivateTests,
    Problem,
    ProblemError,
    PublicProblem,
)
from sandbox_runner import codec
from sandbox_runner.types import FunctionTest, Limits, StdinTest, TestCase

logger = logging.getLogger(__name__)

MAX_TEST_KIB = 2048
CPU_S = (1.0, 20.0)
MEMORY_MIB = (256, 2048)

FUNCTION_LEAD = "Write a Python module that defines the function `{name}`.\n\n"
STDIN_LEAD = (
    "Write a Python program that reads the input from standard input and writes the answer to "
    "standard output.\n\n"
)

FUNCTION_COMPARATOR = "json"

_DECIMAL = re.compile(r"(?<!\S)[+-]?\d*\.\d+(?:[eE][+-]?\d+)?(?!\S)")

# A test as the files have it: what goes in (stdin, or the list of arguments), what must come out.
Pair = tuple[Any, Any]


class UnusableError(Exception):
    """A problem that is whole but cannot be judged here; the message is the reason, in words."""


class Tally:
    """Counts the problems that are left out, or kept with a remark, by reason; warns at the end.

    Args:
      what: the file or folder, for the message.
    """

    def __init__(self, what: Path | str) -> None:
        self.what = what
        self._left_out: dict[str, list[str]] = {}
        self._remarks: dict[str, list[str]] = {}

    def leave_out(self, problem_id: str, reason: object) -> None:
        """Counts a problem that is not loaded."""
        self._left_out.setdefault(str(reason), []).append(problem_id)

    def remark(self, problem_id: str, remark: str) -> None:
        """Counts a problem that is loaded, but not as others are."""
        ids = self._remarks.setdefault(remark, [])
        if ids[-1:] != [problem_id]:
            ids.append(problem_id)

    def warn(self, kept: int) -> None:
        """Logs both as warnings, with the first ids of each reason; nothing where there is none."""
        if self._left_out:
            count = sum(map(len, self._left_out.values()))
            logger.warning(
                "%s: %d of %d problems left out: %s",
                self.what,
                count,
                count + kept,
                _told(self._left_out),
            )
        if self._remarks:
            logger.warning("%s: %s", self.what, _told(self._remarks))


def make_problem(
    *,
    problem_id: str,
    source: str,
    statement: str,
    entry_point: str | None,
    public: Sequence[Pair],
    private: Sequence[Pair],
    starter_code: str = "",
    comparator: str | None = None,
    cpu_s: float | None = None,
    memory_mib: float | None = None,
    references: Iterable[str] = (),
    difficulty: str = "unknown",
    licence: str = "unknown",
) -> Problem:
    """The problem with these tests; a function's if `entry_point` is given, else a program's.

    `public` and `private` must have gone through `distinct` together.

    Raises:
      UnusableError: no private test, or a value that cannot be handed to a program.
    """
    if not private:
        raise UnusableError("no private test")
    kind: Kind = "stdin" if entry_point is None else "function"
    make = _stdin_test if entry_point is None else _function_test
    public_tests = tuple(make(f"public-{i}", pair) for i, pair in enumerate(public))
    private_tests = tuple(make(f"private-{i}", pair) for i, pair in enumerate(private))
    if comparator is None:
        comparator = FUNCTION_COMPARATOR
        if entry_point is None:
            comparator = text_comparator(output for _, output in (*public, *private))
    longest = max(_kib(output) for _, output in (*public, *private))
    lead = STDIN_LEAD if entry_point is None else FUNCTION_LEAD.format(name=entry_point)
    head = PublicProblem(
        id=problem_id,
        source=source,
        statement=f"{lead}{statement.strip()}\n",
        kind=kind,
        entry_point=entry_point,
        starter_code=starter_code,
        tests=public_tests,
        comparator=comparator,
        limits=limits(cpu_s, memory_mib, longest),
        difficulty=difficulty,
        licence=licence,
    )
    return Problem(head, PrivateTests(private_tests), tuple(references))


def distinct(pairs: Iterable[Pair], remark: Callable[[str], None]) -> list[Pair]:
    """The tests without those that are too long, and without repetitions, in their order.

    Args:
      remark: called if some are too long.

    Raises:
      UnusableError: one input with two outputs, or values nested too deeply.
    """
    found: dict[str, Pair] = {}
    for pair in pairs:
        if max(map(_kib, pair)) > MAX_TEST_KIB:
            remark(f"tests of more than {MAX_TEST_KIB} KiB, which are passed over")
            continue
        before = found.setdefault(_input_key(pair[0]), pair)
        if before is not pair and _output_key(before[1]) != _output_key(pair[1]):
            raise UnusableError("one input with two different outputs")
    return list(found.values())


def halves(pairs: Sequence[Pair], most: int | None = None) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """(public, private): the first half, rounded down, and the rest.

    Args:
      most: how many may be public.
    """
    count = len(pairs) // 2
    if most is not None:
        count = min(count, most)
    return pairs[:count], pairs[count:]


ONE_TEST = "one test only: it is private, and there is no public one"


def text_comparator(outputs: Iterable[str]) -> str:
    """The comparator of whole programs with these expected outputs."""
    return "float:1e-06,1e-06" if any(map(_DECIMAL.search, outputs)) else "tokens"


def limits(cpu_s: float | None, memory_mib: float | None, longest_kib: float = 0.0) -> Limits:
    """Limits from those of a source, in seconds and MiB; None stands for this project's own.

    Args:
      longest_kib: the longest expected output.
    """
    default = Limits()
    cpu = _between(default.cpu_s if cpu_s is None else cpu_s, *CPU_S)
    memory = _between(default.memory_mib if memory_mib is None else memory_mib, *MEMORY_MIB)
    output = max(default.output_kib, math.ceil(2 * longest_kib))
    return Limits(cpu_s=cpu, wall_s=3 * cpu, memory_mib=int(memory), output_kib=output)


def number(value: object, units: str = "") -> float | None:
    """A positive number, or the one that a text such as "2 seconds" begins with; else None.

    Args:
      units: the word that may stand behind it, as a regular expression.
    """
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*(?:{units})?\s*", value)
        value = None if match is None else float(match[1])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def parsed_json(text: str, what: str) -> Any:
    """The value of a JSON text inside a record. Raises UnusableError that names it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableError(f"{what} is no JSON") from None


def text_pairs(inputs: object, outputs: object, what: str) -> list[Pair]:
    """Tests of whole programs from two lists of texts; a list of lines is joined to a text.

    Raises:
      UnusableError: no two lists of one length, or something else than text in them.
    """
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise UnusableError(f"{what}: inputs and outputs are not two lists of one length")
    return [(_text(i, what), _text(o, what)) for i, o in zip(inputs, outputs, strict=True)]


def example_pairs(tests: object, what: str) -> list[Pair]:
    """Tests of whole programs from [{"input", "output"}, …]. Raises UnusableError."""
    if tests is None:
        return []
    if not isinstance(tests, list) or not all(isinstance(t, dict) for t in tests):
        raise UnusableError(f"{what}: not a list of objects with input and output")
    return text_pairs([t.get("input") for t in tests], [t.get("output") for t in tests], what)


def optional_text(record: dict[str, Any], name: str, where: str) -> str:
    """A field that may be missing or null: then "". Raises ProblemError if it is no text."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProblemError(
            f"{where}: field {name!r} must be a text or null, not {type(value).__name__}"
        )
    return value


def sections(parts: Iterable[tuple[str, str]]) -> str:
    """A statement from (heading, text) pairs; empty texts go without their heading."""
    told = [f"{h}\n\n{t.strip()}" if h else t.strip() for h, t in parts if t.strip()]
    return "\n\n".join(told)


def shown_examples(pairs: Iterable[Pair]) -> str:
    """Examples as a statement shows them."""
    return "\n\n".join(f"Input:\n{i.strip()}\nOutput:\n{o.strip()}" for i, o in pairs)


def _text(value: object, what: str) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        raise UnusableError(f"{what}: a test is no text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise UnusableError(f"{what}: a test is no valid Unicode") from None
    return value


def _stdin_test(test_id: str, pair: Pair) -> TestCase:
    return StdinTest(test_id, pair[0], pair[1])


def _function_test(test_id: str, pair: Pair) -> TestCase:
    return FunctionTest(test_id, tuple(pair[0]), pair[1])


def _input_key(value: Any) -> str:
    """Equal for inputs that differ in white space at the end of lines at most."""
    if not isinstance(value, str):
        return _encoded(value)
    return "\n".join(line.rstrip() for line in value.split("\n")).rstrip()


def _output_key(value: Any) -> str:
    """Equal for outputs that every comparator takes for the same."""
    return " ".join(value.split()) if isinstance(value, str) else _encoded(value)


def _encoded(value: Any) -> str:
    try:
        return codec.dumps(codec.encode(value)).decode("ascii")
    except codec.CodecError as error:
        raise UnusableError(f"a test holds a value that is {error}") from None


def _kib(value: Any) -> float:
    text = value if isinstance(value, str) else _encoded(value)
    return len(text.encode("utf-8", "surrogateescape")) / 1024


def _between(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _told(reasons: dict[str, list[str]]) -> str:
    return "; ".join(f"{len(ids)} with {reason} ({listed(ids)})" for reason, ids in reasons.items())
