"""Rollouts of one problem: drawn in groups, each paid for before it is asked for, all kept.

A rollout completes a prefix of thoughts, has the program written, and (where there is an oracle)
learns how many of all tests the program passes. The tests themselves are the oracle's own: here
they are two numbers, and nothing of them goes into a request.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.policies.policy import Answer, ImplementRequest, ProposeRequest, Text, Thoughts
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.ledger import Budget, Ledger, Unit
from codeprm_jax.traces.trace import Feedback, Trace

_UNBOUNDED = 2**62


@dataclass(frozen=True)
class Outcome:
    """How a program did on all tests of its problem.

    Attributes:
      passes, trials: tests passed and tests judged.
      public: what the public tests alone said, which may be shown; None where nobody kept it.
    """

    passes: int
    trials: int
    public: Feedback | None = None


# The outcome of a program, or None where the sandbox has no verdict on it.
Oracle = Callable[[PublicProblem, str], Awaitable[Outcome | None]]


class BudgetSpentError(Exception):
    """What is left of a problem's budget does not cover another rollout."""


@dataclass(frozen=True)
class CollectBudget:
    """What a collection may draw; None: without a bound.

    A budget in all is divided among the problems beforehand, in equal parts, so that what a problem
    gets depends on no other. What one leaves over goes to nobody.

    Attributes:
      rollouts: of each problem, failed ones included.
      tokens: generated for each problem.
      total_rollouts: of all problems together.
      total_tokens: generated for all problems together.
    """

    rollouts: int | None = None
    tokens: int | None = None
    total_rollouts: int | None = None
    total_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                raise InputError(f"a budget of {name} must be at least 1, not {value}")

    def share(self, index: int, problems: int) -> CollectBudget:
        """The budget of problem `index` (from 0) of so many: rollouts and tokens only."""

        def least(each: int | None, total: int | None) -> int | None:
            part = None if total is None else total // problems + (index < total % problems)
            return min((n for n in (each, part) if n is not None), default=None)

        rollouts = least(self.rollouts, self.total_rollouts)
        tokens = least(self.tokens, self.total_tokens)
        if rollouts == 0 or tokens == 0:
            raise InputError(
                f"the budget in all does not give each of {problems} problems a rollout; "
                "raise it, or name fewer problems"
            )
        return CollectBudget(rollouts, tokens)


@dataclass(frozen=True)
class Start:
    """Where a rollout begins.

    Attributes:
      thoughts: its prefix; none at the root.
      parent: the trace whose prefix that is, and its length; None at the root.
    """

    thoughts: tuple[str, ...] = ()
    parent: tuple[str, int] | None = None


@dataclass
class Rollouts:
    """The rollouts of one problem as they are drawn.

    Attributes:
      policy: its name.
      seed: of the whole collection; rollout n of a problem has the same seed in every run.
      share: the budget of this problem.
      oracle: None where programs are left for the labeller to run.
      note: what every trace says of its origin.
      on_drawn: called after every rollout.
      traces: those that gave a program.
      drawn: rollouts asked for.
      failures: of the others, by kind.

    Raises:
      InputError: the share does not cover a single rollout.
    """

    problem: PublicProblem
    policy: str
    generation: Generation
    log: EventLog
    seed: int
    share: CollectBudget = CollectBudget()
    oracle: Oracle | None = None
    note: dict[str, Any] = field(default_factory=dict)
    on_drawn: Callable[[], None] = lambda: None
    traces: list[Trace] = field(default_factory=list)
    drawn: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rollouts = _ledger(self.share.rollouts, "executions")
        self._tokens = _ledger(self.share.tokens, "generated_tokens")
        limits = self.generation.limits
        self._worst = limits.thoughts + limits.program
        if not self._affordable(1):
            raise InputError(
                f"{self.share.tokens} tokens a problem do not cover one rollout of "
                f"{self.problem.id!r}, which may cost {self._worst}; raise the budget of tokens, "
                "or lower the policy's own limits"
            )

    @property
    def generated_tokens(self) -> int:
        """Of all rollouts, failed ones included."""
        return self._tokens.generated_tokens

    @property
    def prompt_tokens(self) -> int:
        """Read by the policy."""
        return self._tokens.prompt_tokens

    async def draw(
        self, starts: Sequence[Start], thoughts: int | None = None, **note: Any
    ) -> list[Trace]:
        """A rollout from each start, asked for together as far as the budget bears the worst case.

        Args:
          thoughts: asked for at once; again and again, until the policy says that a program can be
            written. None: all at once.
          note: goes into the provenance.

        Returns:
          The traces of those that gave a program, in the order of the starts.

        Raises:
          BudgetSpentError: not all could be drawn. Those that were are in `traces`.
        """
        made: list[Trace] = []
        while starts:
            count = self._affordable(len(starts))
            if not count:
                raise BudgetSpentError
            group, starts = starts[:count], starts[count:]
            held = [self._rollouts.reserve(executions=1) for _ in group]
            reserved = [self._tokens.reserve(generated=self._worst) for _ in group]
            numbers = range(self.drawn, self.drawn + count)
            self.drawn += count
            drawn = await asyncio.gather(
                *(self._draw(s, n, thoughts, note) for s, n in zip(group, numbers, strict=True))
            )
            for one, rollout, tokens in zip(drawn, held, reserved, strict=True):
                self._rollouts.settle(rollout, executions=1)
                self._tokens.settle(tokens, generated=one.tokens, prompt_tokens=one.prompt_tokens)
                if one.trace is None:
                    self.failures[one.failure] += 1
                else:
                    made.append(one.trace)
                    self.traces.append(one.trace)
        return made

    def annotate(self, trace: Trace, **note: Any) -> None:
        """Adds to the provenance of a trace that was drawn before."""
        place = next(i for i, t in enumerate(self.traces) if t.id == trace.id)
        found = self.traces[place]
        self.traces[place] = replace(found, provenance={**found.provenance, **note})

    def _affordable(self, most: int) -> int:
        tokens = self._tokens.affordable_tokens(self._worst * most)
        count = min(most, tokens // self._worst)
        while count and not self._rollouts.affords(executions=count):
            count -= 1
        return count

    async def _draw(self, *rollout: Any) -> _Drawn:
        drawn = await self._rollout(*rollout)
        self.on_drawn()
        return drawn

    async def _rollout(
        self, start: Start, number: int, thoughts: int | None, note: dict[str, Any]
    ) -> _Drawn:
        seed = stable_seed(self.seed, self.problem.id, number)
        cost = _Cost()
        plan, failure = await self._complete(start.thoughts, seed, thoughts, cost)
        if failure is not None:
            return cost.failed(failure)
        program = await self._ask(ImplementRequest(self.problem, plan, seed), Text)
        cost.add(program)
        if program.failure is not None:
            return cost.failed(program.failure)
        outcome = await self._judge(program.text)
        return cost.gave(
            Trace(
                id=f"{self.problem.id}#{number}",
                problem_id=self.problem.id,
                thoughts=plan,
                program=program.text,
                public=None if outcome is None else outcome.public,
                outcome=None if outcome is None else (outcome.passes, outcome.trials),
                provenance={
                    "policy": self.policy,
                    **self.note,
                    "run_seed": self.seed,
                    "seed": seed,
                    "sample": number,
                    "parent": start.parent and list(start.parent),
                    "tokens": cost.tokens,
                    **note,
                },
            )
        )

    async def _complete(
        self, prefix: tuple[str, ...], seed: int, thoughts: int | None, cost: _Cost
    ) -> tuple[tuple[str, ...], str | None]:
        """Complete thoughts, which cost no more than one answer may; or why there are none."""
        left = self.generation.limits.thoughts
        for asked in itertools.count():
            request = ProposeRequest(self.problem, prefix, seed, thoughts)
            if asked:
                request = replace(request, seed=stable_seed(seed, asked), max_tokens=left)
            answer = await self._ask(request, Thoughts)
            cost.add(answer)
            prefix = (*prefix, *answer.thoughts)
            left -= max(1, answer.tokens)
            if answer.failure is not None:
                return prefix, answer.failure
            if answer.complete:
                return prefix, None
            if not answer.thoughts:
                return prefix, "no thoughts"
            if left < 1:
                return prefix, "cut off"
        raise AssertionError("a rollout's tokens come to an end")

    async def _ask(self, request: ProposeRequest | ImplementRequest, kind: type[Any]) -> Any:
        async def answer() -> dict[str, Any]:
            return vars(await self.generation.answer(request))

        question = {**vars(request), "problem": request.problem.id}
        name = type(request).__name__.removesuffix("Request").lower()
        said = await self.log.once(name, question, answer)
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items()})

    async def _judge(self, program: str) -> Outcome | None:
        oracle = self.oracle
        if oracle is None:
            return None

        async def answer() -> dict[str, Any] | None:
            found = await oracle(self.problem, program)
            if found is None:
                return None
            return {**vars(found), "public": found.public and found.public.to_json()}

        said = await self.log.once("judge", [self.problem.id, program], answer)
        if said is None:
            return None
        public = said["public"] and Feedback.from_json(said["public"])
        return Outcome(said["passes"], said["trials"], public)


@dataclass
class _Drawn:
    """What a rollout came to."""

    tokens: int
    prompt_tokens: int
    trace: Trace | None = None
    failure: str = ""


@dataclass
class _Cost:
    """What a rollout has cost so far."""

    tokens: int = 0
    prompt_tokens: int = 0

    def add(self, answer: Answer) -> None:
        self.tokens += answer.tokens
        self.prompt_tokens += answer.prompt_tokens

    def failed(self, failure: str) -> _Drawn:
        return _Drawn(self.tokens, self.prompt_tokens, failure=failure)

    def gave(self, trace: Trace) -> _Drawn:
        return _Drawn(self.tokens, self.prompt_tokens, trace)


def _ledger(amount: int | None, unit: Unit) -> Ledger:
    return Ledger(Budget(_UNBOUNDED if amount is None else amount, unit))
