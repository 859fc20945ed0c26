"""Comparators and verdicts, outside the jail: the only place where expected values are looked at.

A comparator is named in a job: "exact" (== on plain values, or equal texts), "lines" (trailing
white space of lines and trailing empty lines ignored), "tokens" (all white space alike),
"float:ABS,REL" (a number where a float is expected may differ by ABS, or by REL times that float;
all else, integers above all, as by "exact"), "unordered" (lists or lines in any order), "json"
(values as JSON keeps them: a tuple is as good as a list).

Values: NaN is equal to NaN, alone and within others, by every comparator; test code compares as
Python does, by which it is not. Texts: a number has ASCII digits, and where the expected one is an
integer it must be the same text.

What a program printed or returned is as hostile as the program. The work is linear in its length,
no pattern goes back over it, and it is never hashed by a hash that it could aim at.
"""

from __future__ import annotations

import math
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

_NAN = "NaN"

Compare = Callable[[Any, Any], bool]
Facts = Mapping[str, Any]
Frame = Mapping[str, Any]

_KILLED = {
    "output": Verdict.OLE,
    "wall": Verdict.TLE,
    "cpu": Verdict.TLE,
    "memory": Verdict.MLE,
    "tampering": Verdict.SV,
}

_FLOAT = re.compile(r"float:([0-9.eE+-]+),([0-9.eE+-]+)")
_INTEGER = re.compile(r"[+-]?[0-9]++")
_NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+")
_NO_NUMBER = re.compile(r"([+-]?)(?:(nan)|inf(?:inity)?)", re.IGNORECASE)
_MAX_NUMBER = 4096  # characters; what is longer is compared as text


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
        f"comparator {name!r} is none of {', '.join(_TEXT_COMPARATORS)}, float:ABS,REL, or for "
        "functions json"
    )


@dataclass(frozen=True)
class Decision:
    """A verdict and what goes with it.

    Attributes:
      actual: the value or the output of the program, as text.
      note: goes to the end of the error text.
      shown: (input, expected) where they are not those of the test.
    """

    verdict: Verdict
    actual: str = ""
    note: str = ""
    shown: tuple[str, str] | None = None


def judge_stdin(
    test: StdinTest, compare: Compare, limits: Limits, facts: Facts, output: bytes
) -> Decision:
    """The decision on a program that was run on `test.input` and wrote `output`."""
    actual = output.decode("utf-8", "surrogateescape")
    verdict = failure(facts, limits)
    if len(output) > limits.output_kib * 1024:
        verdict = Verdict.OLE
    if verdict is None:
        verdict = Verdict.AC if compare(actual, test.output) else Verdict.WA
    return Decision(verdict, actual)


def judge_function(
    test: FunctionTest, compare: Compare, limits: Limits, facts: Facts, frame: Frame
) -> Decision:
    """The decision on one call of the entry point, which the program answered with `frame`."""
    values = _answers(facts, limits, frame, 1)
    if isinstance(values, Decision):
        return values
    plain, value, actual = values[0]
    right = plain and compare(value, test.expected)
    return Decision(Verdict.AC if right else Verdict.WA, actual)


def judge_assertions(
    assertions: tuple[Assertion, ...], name: str, limits: Limits, facts: Facts, frame: Frame
) -> Decision:
    """The decision on check code that consists of `assertions` about the function `name`."""
    values = _answers(facts, limits, frame, len(assertions))
    shown, actual, verdict = assertions[0], "", Verdict.AC
    if isinstance(values, Decision):
        verdict, actual = values.verdict, values.actual
    else:
        for assertion, (plain, value, text) in zip(assertions, values, strict=True):
            shown, actual = assertion, text
            # Of an object that is no plain data, its truth is known.
            truth = {"true": True, "false": False}.get(assertion.relation)
            if not (_holds(assertion, value) if plain else truth is not None and value is truth):
                verdict = Verdict.WA
                break
    note = values.note if isinstance(values, Decision) else ""
    call = call_text(name, shown.args, shown.kwargs)
    return Decision(verdict, actual, note, (call, shown.expected_text()))


def judge_check(
    limits: Limits, program: Facts, testing: Facts, outcomes: list[dict[str, Any]]
) -> Decision:
    """The decision on test code that ran beside the program and called it.

    Args:
      program, testing: how the two processes ended. The program's should have waited for calls
        until it was stopped: whatever else ended it is its failure.
      outcomes: what the test code's process said last, if anything.
    """
    if program["killed"] != "stop":
        return Decision(failure(program, limits) or Verdict.RE, note="the program ended by itself")
    if program["cpu_s"] > limits.cpu_s:
        return Decision(Verdict.TLE)
    stderr = testing["stderr"].rstrip("\n")
    if not outcomes:
        if testing["killed"] == "stop":
            return Decision(Verdict.RE, note="the program ended by itself")
        verdict = failure(testing, limits)
        if verdict in (Verdict.TLE, Verdict.OLE, Verdict.MLE):
            return Decision(verdict, note=stderr)
        return Decision(Verdict.IE, note=f"the test code ended without a word\n{stderr}")
    outcome = outcomes[-1]
    if outcome.get("done"):
        return Decision(Verdict.AC)
    if "done" in outcome:
        return Decision(Verdict.IE, note="the test code never called candidate")
    verdict = Verdict.WA if outcome.get("assertion") else Verdict.RE
    if outcome.get("failed") == "MemoryError":
        verdict = Verdict.MLE
    return Decision(verdict, note=stderr)


def failure(facts: Facts, limits: Limits) -> Verdict | None:
    """The verdict that follows from how a process ended, None if it ended well."""
    if facts["killed"] in _KILLED:
        return _KILLED[facts["killed"]]
    if facts["cpu_s"] > limits.cpu_s:
        return Verdict.TLE
    if facts["status"] == 0:
        return None
    if facts["status"] == -signal.SIGSYS:
        return Verdict.SV  # by the seccomp filter
    if facts["status"] == -signal.SIGXCPU:
        return Verdict.TLE
    last_line = facts["stderr"].rstrip().rpartition("\n")[2]
    if re.match(r"(\w+\.)*MemoryError\b|.*(std::bad_alloc|[Oo]ut of memory)", last_line):
        return Verdict.MLE
    # A failed allocation in C ends in abort or a null pointer, with the memory in use still high.
    if facts["status"] < 0 and facts["peak_mib"] > 0.9 * limits.memory_mib:
        return Verdict.MLE
    return Verdict.RE


def facts_of_answer(frame: Frame) -> dict[str, Any]:
    """The facts of a test at whose end the process went on, as far as the process tells them.

    Its times are for people. A process that hides an overrun is ended by whoever watches it.
    """
    facts: dict[str, Any] = {"killed": None, "status": 0, "stderr": ""}
    for name in ("cpu_s", "wall_s", "peak_mib"):
        value = frame.get(name)
        sound = type(value) is float and 0 <= value < 1e6
        facts[name] = value if sound else 0.0
    if frame.get("status"):
        facts["status"] = 1
    if error := frame.get("error"):
        facts["status"], facts["stderr"] = 1, str(error)
    return facts


def result(
    test: TestCase, verdict: Verdict, facts: Facts | None = None, *, note: str = ""
) -> TestResult:
    """A TestResult for a test that has no decision of its own."""
    input, expected = describe(test, "candidate")
    shown = shorten(input), shorten(expected)
    return result_of(test.id, Decision(verdict, note=note), facts or {}, shown)


def result_of(test_id: str, decision: Decision, facts: Facts, shown: tuple[str, str]) -> TestResult:
    """A TestResult with its texts shortened; `shown` is (input, expected), shortened already."""
    note = decision.note
    if facts.get("killed") == "wall" and not note:
        note = "killed at the wall time limit"
    stderr = facts.get("stderr", "").rstrip("\n")
    if decision.shown is not None:
        shown = shorten(decision.shown[0]), shorten(decision.shown[1])
    return TestResult(
        id=test_id,
        verdict=decision.verdict,
        input=shown[0],
        expected=shown[1],
        actual=shorten(decision.actual),
        stderr=tail("\n".join(t for t in (stderr, note) if t)),
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
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def tail(text: str, limit: int = MAX_TEXT) -> str:
    """The last part of a long text."""
    if len(text) > limit:
        text = f"… {len(text) - limit} characters left out …\n{text[-limit:]}"
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def check_job(job: Job) -> None:
    """Raises JobFormatError where the job names an unknown comparator."""
    comparator(job.comparator, job.kind)


def _answers(
    facts: Facts, limits: Limits, frame: Frame, count: int
) -> Decision | list[tuple[bool, Any, str]]:
    """[(is plain, value or its truth, text)] of a process that made `count` calls, or what else."""
    verdict = failure(facts, limits)
    if verdict is not None:
        return Decision(verdict)
    if frame.get("too_long"):
        return Decision(Verdict.OLE, note="the returned value is longer than the output limit")
    try:
        items = frame["values"]
        if not isinstance(items, list) or len(items) != count:
            raise codec.CodecError("not one value for each call")
        return [_answer(item) for item in items]
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        # Whatever a program sends is its own failure, never ours.
        return Decision(Verdict.RE, note=f"no readable answer from the program: {error}")


def _answer(item: Any) -> tuple[bool, Any, str]:
    if not isinstance(item, dict):
        raise codec.CodecError("an answer is an object")
    if "opaque" in item:
        return False, item.get("truth"), str(item["opaque"])
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
        if actual == expected:
            return True
        wanted = _canonical(expected)
        return _NAN in wanted and _canonical(actual) == wanted
    except (RecursionError, OverflowError, TypeError):
        return False


def _unordered(actual: Any, expected: Any) -> bool:
    if type(actual) in (list, tuple) and type(expected) in (list, tuple):
        if len(actual) != len(expected):
            return False
        try:
            return Counter(map(_canonical, actual)) == Counter(map(_canonical, expected))
        except (RecursionError, TypeError):
            return False
    return _exact(actual, expected)


def _canonical(value: Any) -> str:
    """A text that is the same exactly where plain values are equal, and NaN to itself.

    Unlike their own hashes, those of texts cannot be foreseen, so no program makes them collide.
    Raises TypeError on what is no plain data.
    """
    match value:
        case None:
            return "None"
        case int():
            return hex(value)
        case float():
            if math.isnan(value):
                return _NAN
            return hex(int(value)) if value.is_integer() else value.hex()
        case complex():
            real, imaginary = _canonical(value.real), _canonical(value.imag)
            return f"{real}+{imaginary}j" if value.imag else real
        case str():
            return f"{len(value)}'{value}'"
        case bytes():
            return f"b{value.hex()}"
        case list() | tuple():
            return f"{type(value).__name__}[{','.join(map(_canonical, value))}]"
        case set() | frozenset():
            return f"{{{','.join(sorted(map(_canonical, value)))}}}"
        case dict():
            pairs = (f"{_canonical(k)}:{_canonical(v)}" for k, v in value.items())
            return f"dict{{{','.join(sorted(pairs))}}}"
    raise TypeError(f"{type(value).__name__} is no plain data")


def _as_json(actual: Any, expected: Any) -> bool:
    kinds = {type(actual), type(expected)}
    try:
        if kinds <= {list, tuple}:
            return len(actual) == len(expected) and all(map(_as_json, actual, expected))
        if kinds == {dict} and actual.keys() == expected.keys():
            return all(_as_json(v, expected[k]) for k, v in actual.items())
    except RecursionError:
        return False
    return _exact(actual, expected)


def _floats(absolute: float, relative: float) -> Compare:
    def close(actual: Any, expected: Any) -> bool:
        kind = type(expected)
        if kind is float and type(actual) in (int, float):
            return _near(actual, expected, absolute, relative)
        if type(actual) is not kind:
            return _exact(actual, expected)
        if kind in (list, tuple):
            return len(actual) == len(expected) and all(map(close, actual, expected))
        if kind is dict and actual.keys() == expected.keys():
            return all(close(v, expected[k]) for k, v in actual.items())
        return _exact(actual, expected)

    def compare(actual: Any, expected: Any) -> bool:
        try:
            return close(actual, expected)
        except RecursionError:
            return False

    return compare


def _near(actual: float, expected: float, absolute: float, relative: float) -> bool:
    if actual == expected or actual != actual:
        return actual == expected or expected != expected
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
        if max(len(given), len(wanted)) > _MAX_NUMBER or _INTEGER.fullmatch(wanted):
            # An integer is exact: 3.0000001 is no right answer to "how many".
            return False
        if _NUMBER.fullmatch(given) and _NUMBER.fullmatch(wanted):
            first, second = float(given), float(wanted)
            return math.isfinite(first) and _near(first, second, absolute, relative)
        odd, odder = _NO_NUMBER.fullmatch(given), _NO_NUMBER.fullmatch(wanted)
        return bool(odd and odder) and str(float(given)) == str(float(wanted))

    return close


_VALUE_COMPARATORS: dict[str, Compare] = {
    "exact": _exact,
    "unordered": _unordered,
    "json": _as_json,
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
