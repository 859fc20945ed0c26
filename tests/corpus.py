"""Reads the corpus: programs that no judge may reward (attacks/) and programs that it must accept.

A file is a program as a user would hand it in: a docstring that says what it is, then header
comments, then code. The whole file is what is judged, header included, unless the header names a
`program-python` expression, which stands for programs that no text file can hold. Headers:

    # kind: function | stdin | check
    # verdicts: WA, RE          attacks: the verdicts that are right, never AC
    # calls: 3                  attacks, functions: asked for f(1), f(2), f(3)
    # stdin: "4\\n"              honest, stdin: a JSON string; stdin-python for an expression
    # stdout: "4\\n"             honest, stdin: likewise
    # args: (1,)                honest, functions: a literal tuple or list
    # expected: 2               honest, functions: a literal; expected-python for an expression
    # limits: {"cpu_s": 0.5}    what differs from ATTACK_LIMITS or HONEST_LIMITS
    # tiers: T1, T2             the isolation without which it means nothing or cannot run
    # program-python: EXPR      the program itself; the file then holds nothing else

Unknown names, unknown verdicts and headers that do not fit the kind are errors. An attack whose aim
is more than a verdict (to reach the network, to exceed a limit) returns the right answer where it
has succeeded, so that its success is an AC, and a failed test.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox_runner.types import (
    KINDS,
    CheckTest,
    FunctionTest,
    Job,
    Kind,
    Limits,
    StdinTest,
    Verdict,
)
from sandbox_runner.types import TestCase as JudgedTest  # a name that pytest leaves alone

FOLDER = Path(__file__).resolve().parent
SECRET = 918273645  # what an attacked function is asked for, plus the number of the call less one
CHECK = "for i in range(3):\n    assert candidate(i) == i + 1000"
LEFT_BEHIND = "sandbox-left-behind"  # begins the name of every file that an attack wants to keep
TIERS = ("T1", "T2", "T3")

ATTACK_LIMITS = Limits(cpu_s=1.0, wall_s=2.0, memory_mib=256, output_kib=64, processes=16)
HONEST_LIMITS = Limits(processes=16)

_HEADERS = {
    "attacks": {"kind", "verdicts", "calls", "tiers", "limits", "program-python"},
    "honest": {
        *("kind", "stdin", "stdin-python", "stdout", "stdout-python"),
        *("args", "expected", "expected-python"),
        *("tiers", "limits", "program-python"),
    },
}
_HEADER = re.compile(r"# ([a-z][a-z-]*): (.*\S)")


class CorpusError(ValueError):
    """A file whose header does not say exactly what it must."""


@dataclass(frozen=True)
class Attack:
    """A program that must not be rewarded.

    Attributes:
      verdicts: those that are right, for each of its tests.
      calls: how many calls a function is asked for.
      tiers: where it is to be run.
    """

    name: str
    program: str
    kind: Kind
    verdicts: frozenset[Verdict]
    calls: int = 1
    tiers: tuple[str, ...] = TIERS
    limits: Limits = ATTACK_LIMITS

    def job(self, id: str) -> Job:
        """The job that asks it for what it cannot know."""
        tests: tuple[JudgedTest, ...]
        if self.kind == "stdin":
            tests = (StdinTest("1", "", "right"),)
        elif self.kind == "check":
            tests = (CheckTest("1", CHECK),)
        else:
            numbers = range(1, self.calls + 1)
            tests = tuple(FunctionTest(str(i), (i,), SECRET + i - 1) for i in numbers)
        return _job(id, self.program, self.kind, tests, self.limits)


@dataclass(frozen=True)
class Honest:
    """A program that is right.

    Attributes:
      given: stdin, or the arguments of the call.
      expected: stdout, or the value.
      tiers: where it can run.
    """

    name: str
    program: str
    kind: Kind
    given: Any
    expected: Any
    tiers: tuple[str, ...] = TIERS
    limits: Limits = HONEST_LIMITS

    def job(self, id: str) -> Job:
        """The job that it answers rightly."""
        test: JudgedTest
        if self.kind == "stdin":
            test = StdinTest("1", self.given, self.expected)
        else:
            test = FunctionTest("1", tuple(self.given), self.expected)
        return _job(id, self.program, self.kind, (test,), self.limits)


@functools.cache
def attacks() -> dict[str, Attack]:
    """Every attack by its name."""
    return {path.stem: read_attack(path) for path in _files("attacks")}


@functools.cache
def honest() -> dict[str, Honest]:
    """Every honest program by its name."""
    return {path.stem: read_honest(path) for path in _files("honest")}


def read_attack(path: Path) -> Attack:
    """Reads one file of attacks/. Raises CorpusError."""
    program, headers = _read(path, "attacks")
    kind = _kind(path, headers)
    if "verdicts" not in headers:
        raise CorpusError(f"{path}: no verdicts")
    words = [word.strip() for word in headers["verdicts"].split(",")]
    if unknown := sorted(set(words) - set(Verdict)):
        raise CorpusError(f"{path}: unknown verdicts {unknown}")
    verdicts = frozenset(Verdict(word) for word in words)
    if wrong := verdicts & {Verdict.AC, Verdict.IE}:
        raise CorpusError(f"{path}: {sorted(wrong)} is right for no attack")
    calls = 1
    if "calls" in headers:
        if kind != "function" or not re.fullmatch(r"[2-9]", headers["calls"]):
            raise CorpusError(f"{path}: calls is 2 to 9, and for functions only")
        calls = int(headers["calls"])
    limits = _limits(path, headers, ATTACK_LIMITS)
    return Attack(path.stem, program, kind, verdicts, calls, _tiers(path, headers), limits)


def read_honest(path: Path) -> Honest:
    """Reads one file of honest/. Raises CorpusError."""
    program, headers = _read(path, "honest")
    kind = _kind(path, headers)
    wanted = {"function": {"args", "expected"}, "stdin": {"stdin", "stdout"}}.get(kind)
    if wanted is None:
        raise CorpusError(f"{path}: kind {kind!r} is for attacks")
    values = {}
    for header in sorted(set(headers) - {"kind", "tiers", "limits", "program-python"}):
        name = header.removesuffix("-python")
        if name not in wanted or name in values:
            raise CorpusError(f"{path}: {header!r} is one too many for kind {kind!r}")
        values[name] = _value(path, header, headers[header])
    if missing := sorted(wanted - set(values)):
        raise CorpusError(f"{path}: {missing} are missing")
    given, expected = values.get("stdin", values.get("args")), values.get("stdout")
    if kind == "function":
        expected = values["expected"]
    limits = _limits(path, headers, HONEST_LIMITS)
    return Honest(path.stem, program, kind, given, expected, _tiers(path, headers), limits)


def _files(folder: str) -> list[Path]:
    return sorted((FOLDER / folder).glob("*.py"))


def _job(id: str, program: str, kind: Kind, tests: tuple[JudgedTest, ...], limits: Limits) -> Job:
    if kind == "stdin":
        return Job(id, program, "stdin", tests, limits=limits)
    # Check code goes with a program that is a function; that is what its kind "check" stands for.
    return Job(id, program, "function", tests, entry_point="f", limits=limits)


def _read(path: Path, folder: str) -> tuple[str, dict[str, str]]:
    """The program and its headers."""
    text = path.read_text(encoding="utf-8")
    match = re.match(r'"""[A-Z][^"\\]*\."""\n', text)
    if match is None:
        raise CorpusError(f"{path}: begins with no docstring of whole sentences")
    headers: dict[str, str] = {}
    rest = text[match.end() :]
    while rest.startswith("#"):
        line, _, rest = rest.partition("\n")
        header = _HEADER.fullmatch(line)
        if header is None or header[1] not in _HEADERS[folder] or header[1] in headers:
            raise CorpusError(f"{path}: {line!r} is no header of {folder}, or a second one")
        headers[header[1]] = header[2]
    if "program-python" not in headers:
        return text, headers
    if rest:
        raise CorpusError(f"{path}: there is code below its program-python")
    program = _evaluate(path, headers["program-python"])
    if type(program) is not str:
        raise CorpusError(f"{path}: its program-python is no string")
    return program, headers


def _kind(path: Path, headers: dict[str, str]) -> Kind:
    kind = headers.get("kind")
    for known in KINDS:
        if kind == known:
            return known
    raise CorpusError(f"{path}: kind {kind!r} is none of {KINDS}")


def _tiers(path: Path, headers: dict[str, str]) -> tuple[str, ...]:
    if "tiers" not in headers:
        return TIERS
    tiers = tuple(tier.strip() for tier in headers["tiers"].split(","))
    if unknown := sorted(set(tiers) - set(TIERS)):
        raise CorpusError(f"{path}: unknown tiers {unknown}")
    return tiers


def _limits(path: Path, headers: dict[str, str], default: Limits) -> Limits:
    try:
        changes = json.loads(headers.get("limits", "{}"))
        return dataclasses.replace(default, **changes)
    except (TypeError, ValueError) as error:
        raise CorpusError(f"{path}: limits: {error}") from error


def _value(path: Path, header: str, text: str) -> Any:
    if header.endswith("-python"):
        return _evaluate(path, text)
    try:
        if header in ("args", "expected"):
            value = ast.literal_eval(text)
            fits = header == "expected" or isinstance(value, (tuple, list))
        else:
            value = json.loads(text)
            fits = isinstance(value, str)
    except (ValueError, SyntaxError) as error:
        raise CorpusError(f"{path}: {header}: {error}") from error
    if not fits:
        raise CorpusError(f"{path}: {header} is {type(value).__name__}")
    return value


def _evaluate(path: Path, text: str) -> Any:
    try:
        return eval(text, {})  # noqa: S307 (a file of this repository, as this line is)
    except Exception as error:
        raise CorpusError(f"{path}: {text}: {error}") from error
