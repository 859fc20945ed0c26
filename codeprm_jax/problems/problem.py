"""A programming problem, its public and private halves kept apart by type.

Policies, scorers and search receive a `PublicProblem` and nothing else. `PrivateTests` is reached
only through `Problem`, which search code never holds: labelling and the final verdict do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codeprm_jax.files import InputError
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    JobFormatError,
    Limits,
    StdinTest,
    TestCase,
    test_from_json,
)

Kind = Literal["function", "stdin"]
SCHEMA_VERSION = 1


class ProblemError(InputError):
    """A problem, or a file of them, that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class PublicProblem:
    """All that a policy, a scorer or a search may know about a problem.

    Attributes:
      id: unique over all sources, such as "HumanEval/0" or "bank/two_sum".
      source: the loader that made it: "bank", "humaneval", "apps" and so on.
      statement: the text that is shown to a policy and to the PRM.
      kind: "function" (call `entry_point`) or "stdin" (a whole program).
      entry_point: the function's name; None for stdin programs.
      starter_code: code that every program begins with or must be compatible with; may be empty.
      tests: the public tests; may be empty where the source offers none.
      comparator: see `sandbox_runner.types.Job`.
      difficulty: "easy", "medium", "hard" or "unknown".
      licence: SPDX-like name of the text's licence.
    """

    id: str
    source: str
    statement: str
    kind: Kind
    entry_point: str | None
    starter_code: str
    tests: tuple[TestCase, ...]
    comparator: str | None = None
    limits: Limits = Limits()
    difficulty: str = "unknown"
    licence: str = "unknown"

    def public_job(self, job_id: str, program: str) -> Job | None:
        """The job that runs `program` on the public tests; None where there are none."""
        return _job(self, job_id, program, self.tests) if self.tests else None


@dataclass(frozen=True)
class PrivateTests:
    """The tests that decide the result. No policy, scorer or search ever holds one."""

    tests: tuple[TestCase, ...]


@dataclass(frozen=True)
class Problem:
    """Both halves of a problem and its reference solutions.

    Raises:
      ProblemError: no private tests, or test ids that are not unique over both halves.
    """

    public: PublicProblem
    private: PrivateTests
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.private.tests:
            raise ProblemError(
                f"problem {self.id!r} has no private tests, so no program could be judged on it; "
                "add at least one or leave the problem out"
            )
        ids = [t.id for t in self.all_tests]
        if len(set(ids)) != len(ids):
            raise ProblemError(f"problem {self.id!r}: test ids must be unique over both halves")
        try:
            self.label_job("check", "")
        except JobFormatError as error:
            raise ProblemError(f"problem {self.id!r}: {error}") from error

    @property
    def id(self) -> str:
        """The problem's id."""
        return self.public.id

    @property
    def all_tests(self) -> tuple[TestCase, ...]:
        """Public tests, then private ones."""
        return self.public.tests + self.private.tests

    def label_job(self, job_id: str, program: str) -> Job:
        """The job that runs `program` on all tests, as labels need."""
        return _job(self.public, job_id, program, self.all_tests)

    def final_job(self, job_id: str, program: str) -> Job:
        """The job that runs `program` on the private tests, as the final verdict needs."""
        return _job(self.public, job_id, program, self.private.tests)

    def to_json(self) -> dict[str, Any]:
        """A line of problems.jsonl; `sandbox_runner.label` reads it without this package."""
        public = self.public
        return {
            "schema": SCHEMA_VERSION,
            "id": public.id,
            "source": public.source,
            "statement": public.statement,
            "kind": public.kind,
            "entry_point": public.entry_point,
            "starter_code": public.starter_code,
            "comparator": public.comparator,
            "limits": public.limits.to_json(),
            "difficulty": public.difficulty,
            "licence": public.licence,
            "public": [t.to_json() for t in public.tests],
            "private": [t.to_json() for t in self.private.tests],
            "references": list(self.references),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Problem:
        """Reads a line of problems.jsonl. Raises ProblemError naming the problem and the field."""
        where = f"problem {data.get('id')!r}"
        if data.get("schema") != SCHEMA_VERSION:
            raise ProblemError(f"{where}: schema {data.get('schema')!r}, expected {SCHEMA_VERSION}")
        try:
            return cls(
                PublicProblem(
                    id=data["id"],
                    source=data["source"],
                    statement=data["statement"],
                    kind=data["kind"],
                    entry_point=data["entry_point"],
                    starter_code=data["starter_code"],
                    tests=tuple(test_from_json(t, where) for t in data["public"]),
                    comparator=data["comparator"],
                    limits=Limits.from_json(data["limits"]),
                    difficulty=data["difficulty"],
                    licence=data["licence"],
                ),
                PrivateTests(tuple(test_from_json(t, where) for t in data["private"])),
                tuple(data["references"]),
            )
        except KeyError as error:
            raise ProblemError(f"{where}: field {error} is missing") from error
        except JobFormatError as error:
            raise ProblemError(str(error)) from error


def describe_test(test: TestCase, entry_point: str | None) -> tuple[str, str]:
    """(input, expected) of a test as a person reads them; expected is "" for check code."""
    match test:
        case FunctionTest():
            parts = [repr(a) for a in test.args] + [f"{k}={v!r}" for k, v in test.kwargs.items()]
            return f"{entry_point}({', '.join(parts)})", repr(test.expected)
        case StdinTest():
            return test.input, test.output
        case CheckTest():
            return test.code, ""


def _job(public: PublicProblem, job_id: str, program: str, tests: tuple[TestCase, ...]) -> Job:
    return Job(
        id=job_id,
        program=program,
        kind=public.kind,
        tests=tests,
        entry_point=public.entry_point,
        comparator=public.comparator,
        limits=public.limits,
    )
