"""The tests of one job on one program: which processes are run for them, and what follows.

Function tests, and assertions about `candidate`, are calls in one process, in their order, as when
a test file is run; a test at which the process ends has that as its verdict, and the rest go on in
a new one. A stdin test has a process of its own, unless the job asks for one process for all. Test
code of any other form runs in a process, and a cell, of its own, beside the program's.

A process that sees the input of a later test could work at it in the time of an earlier one. So
tests that share a process share TOGETHER_CPU_S at first, which is less than any of them may use
alone: nothing can be borrowed. A program that needs more is run again, and gets each input when its
turn comes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import marshal
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from sandbox_runner import cell, extract, judge, program
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    Limits,
    StdinTest,
    TestCase,
    TestResult,
    Verdict,
)
from sandbox_runner.watch import CellHandle, Ending, Process, attend, max_answer, write_all

Role = Literal["program", "tests"]

Test = TypeVar("Test", bound=TestCase)
Call = tuple[tuple[Any, ...], dict[str, Any]]

_NO_SHARING = 2  # the newest marshal format in which equal arguments stay separate objects
MAX_BATCH = (cell.MAX_DESCRIPTORS - 10) // 2  # stdin tests that one process can be given
TOGETHER_CPU_S = 0.1  # for all tests that share a process, where their inputs are all in it
TOGETHER_WALL_S = 0.25


class Plan:
    """What is the same for every program that is run on the same tests.

    Attributes:
      tests: the tests, kept so that their identity stays theirs.
      assertions: of check tests that consist of them, by test id.
      calls: [(args, kwargs), …] of each test that is run by calls, by test id.
      slow: the last program needed more than tests may have together, so the next one most likely
        does.
    """

    def __init__(self, job: Job) -> None:
        self.tests, self.entry_point, self.slow = job.tests, job.entry_point, False
        self.assertions: dict[str, tuple[extract.Assertion, ...]] = {}
        self.calls: dict[str, list[Call]] = {}
        self.shown: dict[str, tuple[str, str]] = {}
        name = job.entry_point or ""
        for test in job.tests:
            input, expected = judge.describe(test, name)
            if isinstance(test, FunctionTest):
                self.calls[test.id] = [(test.args, dict(test.kwargs))]
            elif isinstance(test, CheckTest):
                found = extract.assertions(test.code, job.entry_point)
                if found is not None:
                    self.assertions[test.id] = found
                    self.calls[test.id] = [(a.args, dict(a.kwargs)) for a in found]
            self.shown[test.id] = judge.shorten(input), judge.shorten(expected)


class Trial:
    """One attempt at the tests of `job` that have no result yet.

    Args:
      cell: gives a cell for the program, or for its test code.
      results: filled by test id, in the order of the tests.
      compare: in place of the job's comparator.
      batch: stdin tests that one process is given at most.
    """

    def __init__(
        self,
        job: Job,
        plan: Plan,
        cell: Callable[[Role], CellHandle],
        results: dict[str, TestResult],
        compare: judge.Compare | None = None,
        batch: int = MAX_BATCH,
    ) -> None:
        self.batch = batch
        self.job, self.plan, self.cell, self.results = job, plan, cell, results
        self.limits = job.limits
        self.compare = compare or judge.comparator(job.comparator, job.kind)

    def run(self) -> None:
        """Raises CellLostError, or OSError, with what was judged until then in `results`."""
        # In order, so that a lost cell can be put down to one test: runs of tests of one kind.
        while left := [t for t in self.job.tests if t.id not in self.results]:
            if self.job.kind == "stdin":
                tests = [t for t in left if isinstance(t, StdinTest)]
                self._run_batch(tests) if self.job.reuse_process else self._run_stdin(tests)
            elif left[0].id in self.plan.calls:
                count = next(
                    (i for i, t in enumerate(left) if t.id not in self.plan.calls), len(left)
                )
                self._run_calls(left[:count])
            else:
                assert isinstance(left[0], CheckTest)
                self._run_check(left[0])

    # Function tests and assertions

    def _run_calls(self, tests: list[TestCase]) -> None:
        calls = [self.plan.calls[t.id] for t in tests]

        def run(limits: Limits, together: bool) -> Ending:
            given = {"tests": calls} if together else {"turns": len(tests)}
            with self._payload("calls", **given) as payload:
                process = Process(
                    self.cell("program"),
                    payload,
                    limits,
                    opening=("compiled", "ready"),
                    tests=len(tests),
                    inputs=() if together else [marshal.dumps(c, _NO_SHARING) for c in calls],
                    one_stream=True,
                )
                attend(process)
            return process.ending

        ending = self._share(run)
        if self._is_rejected(ending, tests):
            return
        if not ending.imported:
            # Nothing that concerns one test: whatever ended the import ends it for all.
            self._end_all(tests, ending, "the program ended while it was imported")
            return
        for test, frame in zip(tests, ending.answers, strict=False):
            self._keep(test, *self._judge_call(test, frame))
        if cut_off := self._cut_off(tests, ending):
            self._end_all(cut_off, ending, "the program ended before it returned a value")

    def _judge_call(
        self, test: TestCase, frame: dict[str, Any]
    ) -> tuple[judge.Decision, judge.Facts]:
        facts = judge.facts_of_answer(frame)
        if isinstance(test, CheckTest):
            found = self.plan.assertions[test.id]
            name = self.job.entry_point or ""
            return judge.judge_assertions(found, name, self.limits, facts, frame), facts
        assert isinstance(test, FunctionTest)
        return judge.judge_function(test, self.compare, self.limits, facts, frame), facts

    # Whole programs

    def _run_stdin(self, tests: list[StdinTest]) -> None:
        with _memfd() as code, self._payload("stdin") as payload:
            for index, test in enumerate(tests):
                with _memfd(_stdin(test), sealed=True) as stdin:
                    process = Process(
                        self.cell("program"),
                        payload if index == 0 else code,
                        self.limits,
                        stdin=stdin,
                        opening=("compiled",) if index == 0 else (),
                        extra=[code] if index == 0 else (),
                        silent=index > 0,
                    )
                    attend(process)
                ending = process.ending
                if index == 0:
                    if fcntl.fcntl(code, fcntl.F_GET_SEALS) == program.SEALS:
                        ending.opened.insert(0, {"compiled": True})
                    if self._is_rejected(ending, list(tests)):
                        return
                facts = _facts(ending)
                decision = judge.judge_stdin(
                    test, self.compare, self.limits, facts, bytes(ending.outputs[0])
                )
                self._keep(test, decision, facts)

    def _run_batch(self, tests: list[StdinTest]) -> None:
        tests = tests[: self.batch]
        inputs = list(map(_stdin, tests))

        def run(limits: Limits, together: bool) -> Ending:
            handle = self.cell("program")
            outs: list[int] = []
            extra: list[int] = []
            given = {} if together else {"turns": len(tests)}
            with contextlib.ExitStack() as stack, self._payload("batch", **given) as payload:
                for data in inputs:
                    if together:
                        extra.append(stack.enter_context(_memfd(data, sealed=True)))
                    reading, writing = os.pipe()
                    outs.append(reading)
                    stack.callback(os.close, writing)
                    extra.append(writing)
                process = Process(
                    handle,
                    payload,
                    limits,
                    opening=("compiled",),
                    tests=len(tests),
                    inputs=() if together else inputs,
                    extra=extra,
                    outs=outs,
                )
                stack.close()
                attend(process)
            return process.ending

        ending = self._share(run)
        if self._is_rejected(ending, list(tests)):
            return
        outputs = ending.outputs[1:]
        for test, frame, output in zip(tests, ending.answers, outputs, strict=False):
            facts = judge.facts_of_answer(frame)
            decision = judge.judge_stdin(test, self.compare, self.limits, facts, bytes(output))
            self._keep(test, decision, facts)
        for test in self._cut_off(tests, ending):
            facts, output = _facts(ending), outputs[len(ending.answers)]
            decision = judge.judge_stdin(test, self.compare, self.limits, facts, bytes(output))
            self._keep(test, decision, facts)

    # Test code in a cell of its own

    def _run_check(self, test: CheckTest) -> None:
        calls, calls_end = os.pipe()
        replies, replies_end = os.pipe()
        try:
            with (
                self._payload("serve") as payload,
                self._payload("tester", program="", code=test.code) as test_payload,
            ):
                serving = Process(
                    self.cell("program"),
                    payload,
                    self.limits,
                    opening=("compiled", "ready"),
                    extra=[calls, replies_end],
                )
                try:
                    testing = Process(
                        self.cell("tests"),
                        test_payload,
                        self.limits,
                        tests=1,
                        extra=[replies, calls_end],
                    )
                except BaseException:
                    serving.close()
                    raise
        finally:
            for fd in (calls, calls_end, replies, replies_end):
                os.close(fd)
        attend(serving, testing)
        ending = serving.ending
        if self._is_rejected(ending, [test]):
            return
        facts = _facts(ending)
        decision = judge.judge_check(
            self.limits, facts, _facts(testing.ending), testing.ending.answers
        )
        self._keep(test, decision, facts)

    # What they share

    def _share(self, run: Callable[[Limits, bool], Ending]) -> Ending:
        """The ending of a process that has several tests: together first, else one by one."""
        limits, budget = self.limits, _budget(self.limits)
        if not self.plan.slow:
            ending = run(budget, True)
            if ending.killed not in ("cpu", "wall") and ending.cpu_s <= budget.cpu_s:
                return ending
        began = time.monotonic()
        ending = run(limits, False)
        self.plan.slow = time.monotonic() - began > budget.cpu_s
        return ending

    def _cut_off(self, tests: list[Test], ending: Ending) -> list[Test]:
        """The test at which the process ended, or none; without an answer, one there must be."""
        answered = len(ending.answers)
        if answered and ending.begun == answered:
            return []  # it ended between two tests: the next one has its turn in a new process
        return tests[answered : answered + 1]

    def _is_rejected(self, ending: Ending, tests: list[TestCase]) -> bool:
        """Gives all tests a verdict where it is about the program and not about one of them."""
        facts = _facts(ending)
        if ending.tampered:
            note = "the program wrote to the channel of the judge"
            decision = judge.Decision(Verdict.SV, note=note)
        elif ending.compiled is False:
            facts["stderr"] = str(ending.opened[0].get("error", ""))
            decision = judge.Decision(Verdict.CE)
        elif ending.compiled is None and ending.killed != "stop":
            verdict = judge.failure(facts, self.limits)
            if verdict not in (Verdict.TLE, Verdict.MLE):
                verdict = Verdict.CE
            decision = judge.Decision(verdict, note="the program ended while it was compiled")
        else:
            return False
        for test in tests:
            self._keep(test, decision, facts)
        return True

    def _end_all(self, tests: list[TestCase], ending: Ending, note: str) -> None:
        facts = _facts(ending)
        verdict = judge.failure(facts, self.limits)
        decision = judge.Decision(verdict or Verdict.RE, note="" if verdict else note)
        for test in tests:
            self._keep(test, decision, facts)

    def _keep(self, test: TestCase, decision: judge.Decision, facts: judge.Facts) -> None:
        shown = self.plan.shown[test.id]
        self.results[test.id] = judge.result_of(test.id, decision, facts, shown)

    def _payload(self, mode: str, **extra: Any) -> contextlib.AbstractContextManager[int]:
        """A memfd that says what a process is to do."""
        content = {
            "mode": mode,
            "program": self.job.program,
            "entry_point": self.job.entry_point,
            "max_answer": max_answer(self.limits),
            **extra,
        }
        return _memfd(marshal.dumps(content, _NO_SHARING))


@contextlib.contextmanager
def _memfd(data: bytes = b"", *, sealed: bool = False) -> Iterator[int]:
    """A file in memory that holds `data` and is read from its beginning."""
    fd = os.memfd_create("data", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write_all(fd, data)
        if sealed:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, program.SEALS)
        yield fd
    finally:
        os.close(fd)


@functools.lru_cache
def _budget(limits: Limits) -> Limits:
    return dataclasses.replace(
        limits,
        cpu_s=min(TOGETHER_CPU_S, limits.cpu_s),
        wall_s=min(TOGETHER_WALL_S, limits.wall_s),
    )


def _stdin(test: StdinTest) -> bytes:
    return test.input.encode("utf-8", "surrogateescape")


def _facts(ending: Ending) -> dict[str, Any]:
    names = ("status", "killed", "cpu_s", "wall_s", "peak_mib", "stderr")
    return {name: getattr(ending, name) for name in names}
