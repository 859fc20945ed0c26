"""One search on one problem: all that an algorithm may do, each thing paid for before it is done.

An algorithm (best-of-N, beam, MCTS, …) is a coroutine that asks a `Search` for thoughts, programs,
executions and scores until it is raised out of by `SearchEndedError`. It holds a `PublicProblem`
and can reach nothing else of the problem. Whatever it asks goes through the ledger and the event
log, so every algorithm keeps to its budget and every one can be resumed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from codeprm_jax.data.layout import StepInput, View
from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.policies.policy import (
    Answer,
    ImplementRequest,
    Location,
    ProposeRequest,
    Request,
    Text,
    Thoughts,
    Value,
)
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.scoring.aggregate import Aggregate, aggregate
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.execution import Execution
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.ledger import Budget, Ledger, Reservation
from codeprm_jax.search.scoring import Scoring
from codeprm_jax.traces.trace import Feedback

A = TypeVar("A", bound=Answer)

MAX_FAILED_DRAWS = 8  # in a row: then the policy is not up to the problem
End = Literal["solved", "budget", "done", "gave up"]


class SearchEndedError(Exception):
    """There is nothing left to do: why is in `Search.ended`."""


@dataclass(eq=False)
class Attempt:
    """A complete trace that was run.

    Attributes:
      thoughts, program, feedback: the trace.
      sample: number of the fresh sample it descends from.
      parent: index of the attempt it was rewritten from; None for a fresh sample.
      rewritten: indices of the thoughts that were rewritten to get here.
      spent: by the whole search when this was run, in the budget's unit.
      scores: the PRM's, one a thought, where it was asked.
      node: of the search tree in which it ends, where the algorithm grows one.
    """

    thoughts: tuple[str, ...]
    program: str
    feedback: Feedback
    sample: int
    parent: int | None = None
    rewritten: tuple[int, ...] = ()
    spent: float = 0.0
    scores: tuple[float, ...] | None = None
    node: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {**vars(self), "feedback": self.feedback.to_json()}


@dataclass
class Node:
    """A thought in a search tree.

    Attributes:
      parent: index of the node before it; None for a first thought.
      thought: its text.
      value: of the prefix that it ends, by whoever judges in this arm; None if nobody did.
      visits, best: in MCTS, rollouts through it and the best return of one.
      replaced: whether it was rewritten, and is out of the search with all that stood on it.
    """

    parent: int | None
    thought: str
    value: float | None = None
    visits: int = 0
    best: float | None = None
    replaced: bool = False


@dataclass
class Search:
    """A search as it goes.

    Attributes:
      problem: the public half.
      seed: equal seeds draw equal fresh samples, whatever the arm.
      stop_at_pass: end when a program passes the public tests.
      rank: how scores choose among attempts with equal public pass rates; None: the earliest.
      attempts: in order of execution.
      tree: nodes, parents before children.
      failures: answers of the policy that were not what was asked for, by kind.
      ended: why.
    """

    problem: PublicProblem
    seed: int
    budget: Budget
    generation: Generation
    execution: Execution
    log: EventLog
    scoring: Scoring | None = None
    stop_at_pass: bool = True
    rank: Aggregate | None = None
    ledger: Ledger = field(init=False)
    attempts: list[Attempt] = field(default_factory=list)
    tree: list[Node] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    ended: End = "done"
    _failed_draws: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.budget)

    @property
    def answer(self) -> int | None:
        """Index of the attempt that is handed in; None if the budget did not suffice for one.

        The best public pass rate, then (with `rank`) the best score, then the earliest.
        """
        return self.best(len(self.attempts))

    def best(self, count: int) -> int | None:
        """The answer among the first `count` attempts."""

        def merit(index: int) -> tuple[float, float]:
            attempt = self.attempts[index]
            scored = self.rank is not None and attempt.scores is not None
            value = aggregate(attempt.scores, self.rank) if scored else -1.0  # type: ignore[arg-type]
            return attempt.feedback.pass_rate, value

        # max keeps the first of equal ones.
        return max(range(count), key=merit, default=None)

    def seed_of(self, *parts: object) -> int:
        """A seed for one draw of this search."""
        return stable_seed(self.seed, *parts)

    def check_room(self) -> None:
        """Raises SearchEndedError if no other program can be run: nothing is worth a price then."""
        if not self.ledger.affords(executions=1):
            raise self.end("budget")

    async def ask(self, *requests: Request) -> list[Any]:
        """The policy's answer to each request, in order.

        Together where the budget bears the worst case of all of them, else one after the other,
        each with what is left. An execution is always left over: what cannot be run is not worth
        writing. Raises SearchEndedError when nothing is left.
        """
        limits = [self.generation.limits.of(r) for r in requests]
        if self.ledger.affords(generated=sum(limits), executions=1):
            held = [self.ledger.reserve(generated=limit) for limit in limits]
            answers = await asyncio.gather(*(self._answer(r) for r in requests))
            for reservation, answer in zip(held, answers, strict=True):
                self._settle(reservation, answer)
            self._count_failures(answers)
            return list(answers)
        answers = []
        for request, limit in zip(requests, limits, strict=True):
            tokens = self.ledger.affordable_tokens(limit, beside_executions=1)
            if not (tokens and self.ledger.affords(generated=tokens, executions=1)):
                raise self.end("budget")
            reservation = self.ledger.reserve(generated=tokens)
            whole = tokens == limit
            given = request if whole else replace(request, max_tokens=tokens)
            answers.append(await self._answer(given))
            self._settle(reservation, answers[-1])
            if whole:  # what the budget cuts off is no failure of the policy
                self._count_failures(answers[-1:])
        return answers

    async def sample(self, number: int) -> Attempt | None:
        """A fresh sample: thoughts, program, execution. None if the policy failed to give one."""
        seed = self.seed_of("sample", number)
        (thoughts,) = await self.ask(ProposeRequest(self.problem, (), seed))
        return await self.attempt(thoughts, (), seed, number)

    async def attempt(
        self,
        answer: Thoughts,
        prefix: tuple[str, ...],
        seed: int,
        sample: int,
        parent: int | None = None,
        rewritten: tuple[int, ...] = (),
        node: int | None = None,
    ) -> Attempt | None:
        """Has the program of `prefix` and an answer's thoughts written, and runs it.

        Returns None, and counts it, where the policy gave no thoughts, not all, or no program.
        Raises SearchEndedError if the program passes the public tests (unless told to go on), or if
        nothing is left to spend.
        """
        if answer.failure is not None or not answer.complete:
            self._draw_failed()
            return None
        thoughts = (*prefix, *answer.thoughts)
        (program,) = await self.ask(ImplementRequest(self.problem, thoughts, seed))
        if program.failure is not None:
            self._draw_failed()
            return None
        self._failed_draws = 0
        feedback = await self._execute(program.text)
        made = Attempt(
            thoughts,
            program.text,
            feedback,
            sample,
            parent,
            rewritten,
            spent=self.ledger.spent,
            node=node,
        )
        self.attempts.append(made)
        if self.rank is not None:
            await self.score_attempt(made)
        if self.stop_at_pass and feedback.all_passed:
            raise self.end("solved")
        return made

    async def score(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[tuple[float, ...] | None]:
        """The PRM's scores of each input's steps; None where it is too long to be read.

        Raises SearchEndedError when nothing is left to spend.
        """
        if self.scoring is None:
            raise InputError("this arm asks a PRM and there is none; name a model")
        most = self.scoring.max_tokens
        together = self.ledger.affords(scored=most * len(inputs))
        answers = []
        for group in [inputs] if together else [[item] for item in inputs]:
            if not self.ledger.affords(scored=most * len(group)):
                raise self.end("budget")
            held = [self.ledger.reserve(scored=most) for _ in group]
            found = await asyncio.gather(*(self._scores(item, view) for item in group))
            for reservation, answer in zip(held, found, strict=True):
                self.ledger.settle(reservation, scored=answer["tokens"])
            answers += found
        return [None if a["scores"] is None else tuple(a["scores"]) for a in answers]

    async def score_attempt(self, attempt: Attempt) -> tuple[float, ...] | None:
        """The scores of an attempt's thoughts, which are kept with it."""
        if attempt.scores is None:
            item = StepInput(
                self.problem.statement, attempt.thoughts, attempt.program, attempt.feedback
            )
            (attempt.scores,) = await self.score([item])
        return attempt.scores

    def end(self, why: End) -> SearchEndedError:
        """What an algorithm raises to end the search."""
        self.ended = why
        return SearchEndedError(why)

    def to_json(self) -> dict[str, Any]:
        """All of it but the problem's text."""
        return {
            "attempts": [a.to_json() for a in self.attempts],
            "tree": [vars(n) for n in self.tree],
            "answer": self.answer,
            "best_after": [self.best(i + 1) for i in range(len(self.attempts))],
            "ended": self.ended,
            "ledger": self.ledger.to_json(),
            "failures": dict(sorted(self.failures.items())),
        }

    def _settle(self, reservation: Reservation, answer: Answer) -> None:
        self.ledger.settle(reservation, generated=answer.tokens, prompt_tokens=answer.prompt_tokens)

    def _count_failures(self, answers: Sequence[Answer]) -> None:
        self.failures.update(a.failure for a in answers if a.failure is not None)

    def _draw_failed(self) -> None:
        self._failed_draws += 1
        if self._failed_draws >= MAX_FAILED_DRAWS:
            raise self.end("gave up")

    async def _answer(self, request: Request) -> Answer:
        kind = type(request).__name__.removesuffix("Request").lower()
        question = {**vars(request), "problem": request.problem.id}

        async def answer() -> dict[str, Any]:
            return vars(await self.generation.answer(request))

        return _ANSWERS[kind](**_tuples(await self.log.once(kind, question, answer)))

    async def _execute(self, program: str) -> Feedback:
        if not self.ledger.affords(executions=1):
            raise self.end("budget")
        held = self.ledger.reserve(executions=1)

        async def answer() -> dict[str, Any]:
            return (await self.execution.feedback(self.problem, program)).to_json()

        said = await self.log.once("execute", [self.problem.id, program], answer)
        self.ledger.settle(held, executions=1)
        return Feedback.from_json(said)

    async def _scores(self, item: StepInput, view: View | None) -> dict[str, Any]:
        scoring = self.scoring
        assert scoring is not None
        view = view or scoring.view

        async def answer() -> dict[str, Any]:
            return await scoring.score(item, view, client=str(self.seed))

        return await self.log.once("score", [scoring.fingerprint, view, item], answer)


_ANSWERS: Mapping[str, type[Any]] = {
    "propose": Thoughts,
    "implement": Text,
    "refine": Text,
    "revise": Thoughts,
    "locate": Location,
    "value": Value,
}


def _tuples(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as it was before it was JSON."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in answer.items()}
