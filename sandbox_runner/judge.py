"""Comparators and verdicts, outside the jail: the only place where expected values are looked at.

A comparator is named in a job: "exact" (== on plain values, or equal texts), "lines" (trailing
white space of lines and trailing empty lines ignored), "tokens" (all white space alike),
"float:ABS,REL" (numbers within ABS or REL times the expected one; integers exactly),
"unordered" (lists or lines in any order).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sandbox_runner import codec
from sandbox_runner.extract import Assertion
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    JobFormatError,
    Limits,
    StdinTest,
    TestCase,
    TestResult,
    Verdict,
)

MAX_TEXT = 4096
MAX_DEPTH = codec.MAX_DEPTH

Compare = Callable[[Any, Any], bool]
Facts = Mapping[str, Any]

_FLOAT = re.compile(r"float:([0-9.eE+-]+),([0-9.eE+-]+)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d+")


def comparator(name: str | None, kind: str) -> Compare:
    """The function (actual, expected) → bool for values, or for texts where kind is "stdin".

    Raises:
      JobFormatError: no comparator of that name.
    """
    name = name or ("lines" if kind == "stdin" else "exact")
    if match := _FLOAT.fullmatch(name):
        try:
            absolute, relative = float(match[1]), float(match[2])
        except ValueError:
            absolute = math.nan
        if absolute >= 0 and relative >= 0 and math.isfinite(absolute + relative):
            return (
                _float_texts(absolute, relative) if kind == "stdin" else _floats(absolute, relative)
            )
    elif kind == "stdin" and name in _TEXT_COMPARATORS:
        return _TEXT_COMPARATORS[name]
    elif kind != "stdin" and name in _VALUE_COMPARATORS:
        return _VALUE_COMPARATORS[name]
    raise JobFormatError(
        f"comparator {name!r} is none of {', '.join(_TEXT_COMPARATORS)} or float:ABS,REL"
    )


def judge_stdin(test: StdinTest, compare: Compare, limits: Limits, facts: Facts) -> TestResult:
    """The verdict on a program that was run on `test.input`."""
    verdict = failure(facts, limits)
    actual = facts.get("stdout", "")
    if verdict is None:
        verdict = Verdict.AC if compare(actual, test.output) else Verdict.WA
    return result(test, verdict, facts, actual=actual)


def judge_function(
    test: FunctionTest, entry_point: str, compare: Compare, limits: Limits, facts: Facts
) -> TestResult:
    """The verdict on one call of the entry point."""
    verdict, values, note = _answers(facts, limits, 1)
    actual = ""
    if verdict is None:
        plain, value, actual = values[0]
        verdict = Verdict.AC if plain and compare(value, test.expected) else Verdict.WA
    return result(test, verdict, facts, entry_point=entry_point, actual=actual, note=note)


def judge_assertions(
    test: CheckTest,
    assertions: tuple[Assertion, ...],
    entry_point: str,
    limits: Limits,
    facts: Facts,
) -> TestResult:
    """The verdict on check code that consists of `assertions` only."""
    verdict, values, note = _answers(facts, limits, len(assertions))
    shown, actual = assertions[0], ""
    if verdict is None:
        verdict = Verdict.AC
        for assertion, (plain, value, text) in zip(assertions, values, strict=True):
            shown, actual = assertion, text
            if not (plain and _holds(assertion, value)):
                verdict = Verdict.WA
                break
    call = call_text(entry_point, shown.args, shown.kwargs)
    return result(
        test, verdict, facts, actual=actual, note=note, input=call, expected=shown.expected_text()
    )


def failure(facts: Facts, limits: Limits) -> Verdict | None:
    """The verdict that follows from how a process ended, None if it ended well."""
    if facts["killed"] == "output":
        return Verdict.OLE
    if facts["killed"] in ("wall", "cpu") or facts["cpu_s"] > limits.cpu_s:
        return Verdict.TLE
    if facts["status"] == 0:
        return None
    last_line = facts["stderr"].rstrip().rpartition("\n")[2]
    if re.match(r"(\w+\.)*MemoryError\b|.*(std::bad_alloc|[Oo]ut of memory)", last_line):
        return Verdict.MLE
    # A failed allocation in C ends in abort or a null pointer, with the memory in use still high.
    if facts["status"] < 0 and facts["peak_mib"] > 0.9 * limits.memory_mib:
        return Verdict.MLE
    return Verdict.RE


def result(
    test: TestCase,
    verdict: Verdict,
    facts: Facts | None = None,
    *,
    entry_point: str = "candidate",
    actual: str = "",
    note: str = "",
    input: str | None = None,
    expected: str | None = None,
) -> TestResult:
    """A TestResult with its texts shortened; `note` goes to the end of the error text."""
    facts = facts or {}
    shown_input, shown_expected = describe(test, entry_point)
    stderr = facts.get("stderr", "")
    if facts.get("killed") == "wall" and not note:
        note = "killed at the wall time limit"
    return TestResult(
        id=test.id,
        verdict=verdict,
        input=shorten(shown_input if input is None else input),
        expected=shorten(shown_expected if expected is None else expected),
        actual=shorten(actual),
        stderr=tail("\n".join(t for t in (stderr.rstrip("\n"), note) if t)),
        cpu_s=round(facts.get("cpu_s", 0.0), 6),
        wall_s=round(facts.get("wall_s", 0.0), 6),
        peak_mib=round(facts.get("peak_mib", 0.0), 3),
    )


def describe(test: TestCase, entry_point: str) -> tuple[str, str]:
    """(input, expected) of a test as a person reads them; expected is "" for check code."""
    match test:
        case FunctionTest():
            return call_text(entry_point, test.args, test.kwargs), value_text(test.expected)
        case StdinTest():
            return test.input, test.output
        case CheckTest():
            return test.code, ""


def call_text(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The call as source, such as `f([1, 2], k=3)`."""
    parts = [value_text(a) for a in args] + [f"{k}={value_text(v)}" for k, v in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def value_text(value: Any) -> str:
    """repr, also of integers that are longer than the interpreter will print."""
    try:
        return repr(value)
    except ValueError:
        return hex(value) if type(value) is int else f"a {type(value).__name__} of huge integers"


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """The head and tail of a long text with a mark between them; always valid Unicode."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n… {len(text) - limit} characters left out …\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def tail(text: str, limit: int = MAX_TEXT) -> str:
    """The last part of a long text."""
    if len(text) > limit:
        text = f"… {len(text) - limit} characters left out …\n{text[-limit:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def check_job(job: Job) -> None:
    """Raises JobFormatError where the job names an unknown comparator."""
    comparator(job.comparator, job.kind)


def _answers(
    facts: Facts, limits: Limits, count: int
) -> tuple[Verdict | None, list[tuple[bool, Any, str]], str]:
    """(verdict or None, [(is plain, value, text)], note) of a process that made `count` calls."""
    verdict = failure(facts, limits)
    if verdict is not None:
        return verdict, [], ""
    if facts["answer"] is None:
        return Verdict.RE, [], "the program ended before it returned a value"
    try:
        data = codec.loads(facts["answer"])
        if data.get("too_long"):
            return Verdict.OLE, [], "the returned value is longer than the output limit"
        items = data["values"]
        if not isinstance(items, list) or len(items) != count:
            raise codec.CodecError("not one value for each call")
        return None, [_answer(item) for item in items], ""
    except (codec.CodecError, KeyError, TypeError, AttributeError) as error:
        return Verdict.RE, [], f"no readable answer from the program: {error}"


def _answer(item: Any) -> tuple[bool, Any, str]:
    if not isinstance(item, dict):
        raise codec.CodecError("an answer is an object")
    if "opaque" in item:
        return False, None, str(item["opaque"])
    value = codec.decode(item["value"])
    return True, value, value_text(value)


def _holds(assertion: Assertion, value: Any) -> bool:
    try:
        return assertion.holds(value)
    except (RecursionError, OverflowError, TypeError):
        return False


# Comparators of values


def _exact(actual: Any, expected: Any) -> bool:
    try:
        return bool(actual == expected)
    except (RecursionError, OverflowError):
        return False


def _unordered(actual: Any, expected: Any) -> bool:
    if type(actual) in (list, tuple) and type(expected) in (list, tuple):
        if len(actual) != len(expected):
            return False
        try:
            return Counter(map(_hashable, actual)) == Counter(map(_hashable, expected))
        except RecursionError:
            return False
    return _exact(actual, expected)


def _hashable(value: Any) -> Any:
    """A stand-in that is equal exactly where the plain values are."""
    kind = type(value)
    if kind in (list, tuple):
        return (kind, tuple(map(_hashable, value)))
    if kind is dict:
        return (dict, frozenset((k, _hashable(v)) for k, v in value.items()))
    return frozenset(value) if kind is set else value


def _floats(absolute: float, relative: float) -> Compare:
    def close(actual: Any, expected: Any) -> bool:
        kinds = {type(actual), type(expected)}
        if kinds <= {list, tuple}:
            return len(actual) == len(expected) and all(map(close, actual, expected))
        if kinds == {dict}:
            return actual.keys() == expected.keys() and all(
                close(v, expected[k]) for k, v in actual.items()
            )
        if float in kinds and kinds <= {int, float}:
            return _near(actual, expected, absolute, relative)
        return _exact(actual, expected)

    return close


def _near(actual: float, expected: float, absolute: float, relative: float) -> bool:
    if actual == expected:
        return True
    try:
        distance = abs(actual - expected)
        return math.isfinite(distance) and distance <= max(absolute, relative * abs(expected))
    except OverflowError:
        return False


# Comparators of texts


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _tokens(actual: str, expected: str) -> bool:
    return actual.split() == expected.split()


def _float_texts(absolute: float, relative: float) -> Compare:
    def close(actual: str, expected: str) -> bool:
        given, wanted = actual.split(), expected.split()
        return len(given) == len(wanted) and all(map(same, given, wanted))

    def same(given: str, wanted: str) -> bool:
        if given == wanted:
            return True
        if _INTEGER.fullmatch(wanted):
            # An integer is exact: 3.0000001 is no right answer to "how many".
            return bool(_INTEGER.fullmatch(given)) and _integer(given) == _integer(wanted)
        if _NUMBER.fullmatch(given) and _NUMBER.fullmatch(wanted):
            return _near(float(given), float(wanted), absolute, relative)
        return False

    return close


def _integer(text: str) -> str:
    digits = text.lstrip("+-").lstrip("0") or "0"
    return "-" + digits if text.startswith("-") and digits != "0" else digits


_VALUE_COMPARATORS: dict[str, Compare] = {
    "exact": _exact,
    "unordered": _unordered,
    "lines": lambda actual, expected: (
        type(actual) is type(expected) is str and _lines(actual) == _lines(expected)
    ),
    "tokens": lambda actual, expected: (
        type(actual) is type(expected) is str and _tokens(actual, expected)
    ),
}
_TEXT_COMPARATORS: dict[str, Compare] = {
    "exact": lambda actual, expected: actual == expected,
    "lines": lambda actual, expected: _lines(actual) == _lines(expected),
    "tokens": _tokens,
    "unordered": lambda actual, expected: sorted(_lines(actual)) == sorted(_lines(expected)),
}
