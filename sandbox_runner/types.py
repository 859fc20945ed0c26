"""What goes into the judge and what comes out: jobs, tests, limits, verdicts and reports.

These are plain data with a JSON form; values that JSON cannot hold (tuples, sets, bytes, dicts
with other keys than strings, infinities) travel in the tagged form of `sandbox_runner.codec`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox_runner import codec

Kind = Literal["function", "stdin", "check"]
KINDS: tuple[Kind, ...] = ("function", "stdin", "check")


class JobFormatError(ValueError):
    """A job, test or limit that does not have the documented JSON form."""


class Verdict(enum.StrEnum):
    """The judge's word on one test."""

    AC = "AC"  # accepted
    WA = "WA"  # wrong answer
    TLE = "TLE"  # time limit exceeded (CPU or wall)
    MLE = "MLE"  # memory limit exceeded
    OLE = "OLE"  # output limit exceeded
    RE = "RE"  # runtime error: exception, signal or non-zero exit status
    CE = "CE"  # the program does not compile
    SV = "SV"  # security violation: the program attempted what the jail forbids
    IE = "IE"  # internal error: ours, never a label


@dataclass(frozen=True)
class Limits:
    """Limits of one test.

    Attributes:
      cpu_s: CPU time in seconds, at most a day.
      wall_s: elapsed time in seconds, at most a day.
      memory_mib: address space in MiB, a whole number, at most 2**20.
      output_kib: stdout, or an encoded return value, in KiB, a whole number, at most 2**20.
      processes: processes and threads that may exist at once, the program's own included; a whole
        number, at most 2**15.

    Raises:
      JobFormatError: a value that is none of these.
    """

    cpu_s: float = 2.0
    wall_s: float = 6.0
    memory_mib: int = 512
    output_kib: int = 256
    processes: int = 32

    def __post_init__(self) -> None:
        for name, (kinds, most) in _LIMITS.items():
            value = getattr(self, name)
            if type(value) not in kinds or not 0 < value <= most:
                what = "whole number" if kinds == (int,) else "number"
                raise JobFormatError(
                    f"limit {name} must be a positive {what}, at most {most}, not {value!r:.99}"
                )

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Limits:
        """Reads limits; absent ones keep their default. Raises JobFormatError on unknown names."""
        data = {} if data is None else data
        if not isinstance(data, Mapping):
            raise JobFormatError(f"limits are an object, not {type(data).__name__}")
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - known):
            raise JobFormatError(f"unknown limits {unknown}; known are {sorted(known)}")
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)


_LIMITS: dict[str, tuple[tuple[type, ...], int]] = {
    "cpu_s": ((int, float), 86_400),
    "wall_s": ((int, float), 86_400),
    "memory_mib": ((int,), 1 << 20),
    "output_kib": ((int,), 1 << 20),
    "processes": ((int,), 1 << 15),
}


@dataclass(frozen=True)
class FunctionTest:
    """Call the entry point with `args` and `kwargs`; the result must equal `expected`."""

    id: str
    args: tuple[Any, ...]
    expected: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON form, values tagged by `codec.encode`."""
        return {
            "id": self.id,
            "args": [codec.encode(a) for a in self.args],
            "kwargs": {k: codec.encode(v) for k, v in self.kwargs.items()},
            "expected": codec.encode(self.expected),
        }


@dataclass(frozen=True)
class StdinTest:
    """Run the whole program on `input`; its stdout must compare equal to `output`."""

    id: str
    input: str
    output: str

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"id": self.id, "input": self.input, "output": self.output}


@dataclass(frozen=True)
class CheckTest:
    """Run `code`, which calls `candidate` (the entry point) and asserts.

    The code is trusted less than the judge and more than the program: it never shares a process
    with the program. `code` is self-contained: it imports and defines all that it uses.
    """

    id: str
    code: str

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"id": self.id, "code": self.code}


TestCase = FunctionTest | StdinTest | CheckTest


def test_from_json(data: Mapping[str, Any], where: str = "test") -> TestCase:
    """Reads one test of any kind; its keys tell which. Raises JobFormatError."""
    if not isinstance(data, Mapping):
        raise JobFormatError(f"{where}: a test is an object, not {type(data).__name__}")
    keys = set(data)
    if not isinstance(data.get("id"), str) or not data["id"]:
        raise JobFormatError(f"{where}: a test needs a non-empty string 'id'")
    try:
        if {"args", "expected"} <= keys <= {"id", "args", "kwargs", "expected"}:
            if not isinstance(data["args"], list):
                raise JobFormatError(f"{where}: 'args' is a list, one item an argument")
            if not isinstance(data.get("kwargs", {}), Mapping):
                raise JobFormatError(f"{where}: 'kwargs' is an object, one name an argument")
            return FunctionTest(
                id=data["id"],
                args=tuple(codec.decode(a) for a in data["args"]),
                kwargs={k: codec.decode(v) for k, v in data.get("kwargs", {}).items()},
                expected=codec.decode(data["expected"]),
            )
        if keys == {"id", "input", "output"}:
            if not all(isinstance(data[k], str) for k in ("input", "output")):
                raise JobFormatError(f"{where}: 'input' and 'output' are strings")
            data["input"].encode("utf-8", "surrogateescape")
            return StdinTest(**data)
        if keys == {"id", "code"}:
            if not isinstance(data["code"], str):
                raise JobFormatError(f"{where}: 'code' is a string")
            return CheckTest(**data)
    except (codec.CodecError, AttributeError, TypeError, UnicodeEncodeError) as error:
        raise JobFormatError(f"{where}: {error}") from error
    raise JobFormatError(
        f"{where}: keys {sorted(keys)} fit no kind of test: (id, args, kwargs, expected), "
        "(id, input, output) or (id, code)"
    )


@dataclass(frozen=True)
class Job:
    """One program and the tests to judge it on.

    Attributes:
      id: the caller's name for it.
      program: Python source.
      kind: how it is run. A "function" job may hold FunctionTests and CheckTests.
      entry_point: the function's name; None for stdin programs.
      tests: at least one, ids unique.
      comparator: "exact" (Python's == on plain values), "lines" (trailing white space ignored),
        "tokens" (all white space alike), "float:ABS,REL", "unordered", or of functions "json" (a
        tuple is as good as a list); None for the kind's default: "exact" for functions, "lines" for
        stdin.
      limits: of each test.
      reuse_process: run all stdin tests in one process, one after another: several times as fast,
        but what a test leaves in the interpreter (imported modules, patched ones) stays for the
        next. Without it every test has a process of its own.
    """

    id: str
    program: str
    kind: Kind
    tests: tuple[TestCase, ...]
    entry_point: str | None = None
    comparator: str | None = None
    limits: Limits = Limits()
    reuse_process: bool = False

    def __post_init__(self) -> None:
        where = f"job {self.id!r}"
        if self.kind not in KINDS:
            raise JobFormatError(f"{where}: kind {self.kind!r} is none of {KINDS}")
        if not self.tests:
            raise JobFormatError(f"{where}: it has no tests, so nothing could be judged")
        ids = [t.id for t in self.tests]
        if len(set(ids)) != len(ids):
            raise JobFormatError(f"{where}: test ids must be unique")
        if not isinstance(self.limits, Limits):
            raise JobFormatError(f"{where}: limits are an object")
        if not isinstance(self.reuse_process, bool):
            raise JobFormatError(f"{where}: reuse_process is true or false")
        if self.reuse_process and self.kind != "stdin":
            raise JobFormatError(f"{where}: reuse_process is for stdin jobs; others always do")
        if not isinstance(self.comparator, (str, type(None))):
            raise JobFormatError(f"{where}: comparator {self.comparator!r} is no string")
        if not isinstance(self.entry_point, (str, type(None))):
            raise JobFormatError(f"{where}: entry_point {self.entry_point!r} is no string")
        if self.kind != "stdin" and not (self.entry_point or "").isidentifier():
            raise JobFormatError(f"{where}: entry_point {self.entry_point!r} is no Python name")
        for test in self.tests:
            if isinstance(test, StdinTest) != (self.kind == "stdin"):
                raise JobFormatError(f"{where}: test {test.id!r} does not fit kind {self.kind!r}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Reads a line of jobs.jsonl. Raises JobFormatError naming the job and the field."""
        if not isinstance(data, Mapping):
            raise JobFormatError(f"a job is an object, not {type(data).__name__}")
        where = f"job {data.get('id')!r}"
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - known):
            raise JobFormatError(f"{where}: unknown keys {unknown}; known are {sorted(known)}")
        for name in ("id", "program", "kind"):
            if not isinstance(data.get(name), str):
                raise JobFormatError(f"{where}: {name!r} is missing or no string")
        if not isinstance(data.get("tests"), list):
            raise JobFormatError(f"{where}: 'tests' is missing or no list")
        return cls(
            id=data["id"],
            program=data["program"],
            kind=data["kind"],
            tests=tuple(test_from_json(t, where) for t in data["tests"]),
            entry_point=data.get("entry_point"),
            comparator=data.get("comparator"),
            limits=Limits.from_json(data.get("limits")),
            reuse_process=data.get("reuse_process", False),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "id": self.id,
            "program": self.program,
            "kind": self.kind,
            "entry_point": self.entry_point,
            "tests": [t.to_json() for t in self.tests],
            "comparator": self.comparator,
            "limits": self.limits.to_json(),
            **({"reuse_process": True} if self.reuse_process else {}),
        }


@dataclass(frozen=True)
class TestResult:
    """The verdict on one test with what a person, or a policy, needs to understand it.

    `input`, `expected` and `actual` are text (a call such as `f([1, 2], k=3)`, a repr, stdin or
    stdout), each shortened by the judge; `stderr` is the last part of the error text.
    """

    __test__ = False  # pytest takes every class named Test… for one of its own

    id: str
    verdict: Verdict
    input: str = ""
    expected: str = ""
    actual: str = ""
    stderr: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the verdict is AC."""
        return self.verdict is Verdict.AC

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TestResult:
        """Reads the JSON form."""
        return cls(**{**data, "verdict": Verdict(data["verdict"])})

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {**dataclasses.asdict(self), "verdict": str(self.verdict)}


@dataclass(frozen=True)
class Report:
    """The results of one job, in the order of its tests, one each.

    Attributes:
      tier: the isolation it ran under ("T1", "T2" or "T3"), see `sandbox_runner.jail`.
    """

    id: str
    tier: str
    tests: tuple[TestResult, ...]

    @property
    def passes(self) -> int:
        """How many tests were accepted."""
        return sum(t.passed for t in self.tests)

    @property
    def trials(self) -> int:
        """How many tests were judged."""
        return len(self.tests)

    @property
    def pass_rate(self) -> float:
        """passes / trials, in [0, 1]."""
        return self.passes / self.trials

    @property
    def all_passed(self) -> bool:
        """Whether every test was accepted."""
        return self.passes == self.trials

    @property
    def internal_error(self) -> bool:
        """Whether some verdict is IE; such a report must not become a label."""
        return any(t.verdict is Verdict.IE for t in self.tests)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """Reads a line of reports.jsonl."""
        return cls(data["id"], data["tier"], tuple(TestResult.from_json(t) for t in data["tests"]))

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "id": self.id,
            "tier": self.tier,
            "passes": self.passes,
            "trials": self.trials,
            "tests": [t.to_json() for t in self.tests],
        }
