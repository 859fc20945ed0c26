"""Traces: thoughts, a program, what its execution said, and the counts that label each step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeprm_jax.files import InputError, read_jsonl
from sandbox_runner.types import TestResult

SCHEMA_VERSION = 1
# What a score estimates: the mean share of passed tests, or the share of rollouts that pass all.
Target = Literal["pass_rate", "success_rate"]
TARGETS: tuple[Target, ...] = ("pass_rate", "success_rate")
MAX_FAILURES = 5  # failing public tests that feedback shows, as in the paper


@dataclass(frozen=True)
class Failure:
    """A failing public test as feedback shows it; all texts, already shortened by the judge."""

    id: str
    verdict: str
    input: str
    expected: str
    actual: str
    stderr: str


@dataclass(frozen=True)
class Feedback:
    """What running a program on the public tests said.

    Attributes:
      passed, total: counts of public tests; total is 0 where a problem has none.
      failures: at most MAX_FAILURES of the failing ones.
    """

    passed: int
    total: int
    failures: tuple[Failure, ...] = ()

    @property
    def all_passed(self) -> bool:
        """Whether no public test failed."""
        return self.passed == self.total

    @property
    def pass_rate(self) -> float:
        """passed / total, in [0, 1]; 1 where there is no public test."""
        return self.passed / self.total if self.total else 1.0

    @classmethod
    def from_results(cls, results: Sequence[TestResult]) -> Feedback:
        """Feedback from the judge's results on the public tests."""
        failures = [
            Failure(r.id, str(r.verdict), r.input, r.expected, r.actual, r.stderr)
            for r in results
            if not r.passed
        ]
        passed = len(results) - len(failures)
        return cls(passed, len(results), tuple(failures[:MAX_FAILURES]))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Feedback:
        """Reads the JSON form."""
        failures = tuple(Failure(**f) for f in data["failures"])
        return cls(data["passed"], data["total"], failures)

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class StepCounts:
    """Monte-Carlo counts of one step: over all rollouts that share the thoughts up to it.

    Attributes:
      passes: rollouts whose program passed every test, public and private.
      trials: rollouts.
      pass_rate_sum: sum over the rollouts of the program's share of passed tests.
    """

    passes: int
    trials: int
    pass_rate_sum: float

    @property
    def pass_rate(self) -> float:
        """Mean pass rate, the soft label (METHOD: label of a step), in [0, 1]."""
        return self.pass_rate_sum / self.trials

    @property
    def success_rate(self) -> float:
        """passes / trials, the Monte-Carlo value MC(s) of METHOD, section 2, in [0, 1]."""
        return self.passes / self.trials

    def label(self, target: Target) -> float:
        """The soft label of this kind, in [0, 1]."""
        return self.pass_rate if target == "pass_rate" else self.success_rate

    @property
    def reachable(self) -> bool:
        """Whether some rollout through this step passed everything."""
        return self.passes > 0


@dataclass(frozen=True)
class Trace:
    """One rollout.

    Attributes:
      thoughts: the steps, in order.
      program: the source written from them.
      public: feedback on the public tests; None before execution.
      steps: counts, one a thought; None before labelling.
      outcome: passed and judged tests, public and private, of this very program.
      provenance: policy, seed, parent (the trace whose prefix it continues, and how long), sample.
      tier: the isolation in which the program was judged, of sandbox-runner; None before.
    """

    id: str
    problem_id: str
    thoughts: tuple[str, ...]
    program: str
    public: Feedback | None = None
    steps: tuple[StepCounts, ...] | None = None
    outcome: tuple[int, int] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    # How it was judged says nothing about what was found: no dataset keeps it.
    tier: str | None = field(default=None, compare=False)

    @property
    def first_wrong(self) -> int | None:
        """Index of the first step through which no rollout passed everything; None if none such."""
        for index, counts in enumerate(self.steps or ()):
            if not counts.reachable:
                return index
        return None

    @property
    def solved(self) -> bool:
        """Whether this very program passed every test. Raises ValueError on an unlabelled trace."""
        if self.outcome is None:
            raise ValueError(f"trace {self.id!r} is not labelled")
        return self.outcome[0] == self.outcome[1]

    def to_json(self) -> dict[str, Any]:
        """A line of traces.jsonl or labelled.jsonl."""
        outcome: dict[str, Any] | None = None
        if self.outcome:
            outcome = {"passes": self.outcome[0], "trials": self.outcome[1]}
            outcome |= {} if self.tier is None else {"tier": self.tier}
        return {
            "schema": SCHEMA_VERSION,
            "id": self.id,
            "problem_id": self.problem_id,
            "thoughts": list(self.thoughts),
            "program": self.program,
            "public": self.public and self.public.to_json(),
            "steps": self.steps and [dataclasses.asdict(s) for s in self.steps],
            "outcome": outcome,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trace:
        """Reads the JSON form. Raises InputError naming the trace and the field."""
        where = f"trace {data.get('id')!r}"
        if data.get("schema") != SCHEMA_VERSION:
            raise InputError(f"{where}: schema {data.get('schema')!r}, expected {SCHEMA_VERSION}")
        try:
            steps, outcome, public = data.get("steps"), data.get("outcome"), data.get("public")
            trace = cls(
                id=data["id"],
                problem_id=data["problem_id"],
                thoughts=tuple(data["thoughts"]),
                program=data["program"],
                public=Feedback.from_json(public) if public else None,
                steps=tuple(StepCounts(**s) for s in steps) if steps else None,
                outcome=(outcome["passes"], outcome["trials"]) if outcome else None,
                provenance=data.get("provenance") or {},
                tier=outcome.get("tier") if outcome else None,
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"{where}: missing or malformed field: {error}") from error
        if any(s.trials < 1 for s in trace.steps or ()):
            raise InputError(f"{where}: a step without trials has no label")
        if trace.steps is not None and len(trace.steps) != len(trace.thoughts):
            raise InputError(
                f"{where}: {len(trace.steps)} steps for {len(trace.thoughts)} thoughts"
            )
        return trace


def read_traces(path: Path | str) -> Iterator[Trace]:
    """Yields the traces of a JSON Lines file. Raises InputError naming file and line or trace."""
    for number, data in enumerate(read_jsonl(path), 1):
        try:
            yield Trace.from_json(data)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
