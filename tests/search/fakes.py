"""A generator, a sandbox and a PRM that are arithmetic: thousands of searches take seconds.

A thought is "DEPTH:VARIANT"; variant 0 is right. A program is its thoughts; it passes a test for
each right thought before the first wrong one.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codeprm_jax.data.layout import ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.policies.policy import (
    ImplementRequest,
    LocateRequest,
    Location,
    Policy,
    ProposeRequest,
    RefineRequest,
    Request,
    ReviseRequest,
    Text,
    Thoughts,
    TokenLimits,
    Value,
    ValueRequest,
)
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.search.arms import Arm, run_arm
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.ledger import Budget
from codeprm_jax.search.scoring import Scoring
from codeprm_jax.search.search import Search
from codeprm_jax.search.stages import Stage
from codeprm_jax.traces.trace import Failure, Feedback
from sandbox_runner.types import FunctionTest

STEPS = 4
EIGHT = Budget(8)
PROBLEM = PublicProblem(
    "fake/1", "fake", "Do it.", "function", "f", "", (FunctionTest("public-0", (), {}, 0),)
)


class KilledError(Exception):
    """Stands for a kill at this very moment."""


def is_right(thoughts: Sequence[str]) -> list[bool]:
    return [t.endswith(":0") for t in thoughts]


@dataclass
class FakePolicy(Policy):
    """Draws variants and costs from the request alone; fails at a rate; may be killed."""

    right: float = 0.5
    failing: float = 0.0
    calls_left: int = 10**9
    limits: TokenLimits = TokenLimits(40, 60, 10)
    concurrency: int = 4
    name: str = "fake"
    simulated: bool = True
    asked: list[Request] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)
    running: int = 0
    most_running: int = 0

    async def _paid(self, request: Request) -> tuple[random.Random, dict[str, Any]]:
        if self.calls_left <= 0:
            raise KilledError
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        # Others run meanwhile, in an order that has nothing to do with that of the requests.
        for _ in range(stable_seed(request.seed) % 5):
            await asyncio.sleep(0)
        self.running -= 1
        if self.calls_left <= 0:
            raise KilledError
        self.calls_left -= 1
        self.asked.append(request)
        rng = random.Random(stable_seed(type(request).__name__, request.seed))
        wanted, limit = rng.randint(1, 40), self.limits.of(request)
        failure = "cut off" if wanted > limit else "empty" if rng.random() < self.failing else None
        tokens = min(wanted, limit)
        self.spent[type(request).__name__] += tokens
        return rng, {"tokens": tokens, "failure": failure}

    def _thought(self, depth: int, rng: random.Random) -> str:
        return f"{depth}:{0 if rng.random() < self.right else rng.randint(1, 3)}"

    async def propose(self, request: ProposeRequest) -> Thoughts:
        rng, cost = await self._paid(request)
        start = len(request.prefix)
        stop = STEPS if request.thoughts is None else min(STEPS, start + request.thoughts)
        thoughts = tuple(self._thought(d, rng) for d in range(start, stop))
        return Thoughts(**cost, thoughts=thoughts, complete=stop == STEPS)

    async def implement(self, request: ImplementRequest) -> Text:
        assert len(request.thoughts) == STEPS
        _, cost = await self._paid(request)
        return Text(**cost, text="\n".join(request.thoughts))

    async def refine(self, request: RefineRequest) -> Text:
        rng, cost = await self._paid(request)
        return Text(**cost, text=self._thought(request.step, rng))

    async def revise(self, request: ReviseRequest) -> Thoughts:
        rng, cost = await self._paid(request)
        return Thoughts(**cost, thoughts=tuple(self._thought(d, rng) for d in range(STEPS)))

    async def locate(self, request: LocateRequest) -> Location:
        rng, cost = await self._paid(request)
        return Location(**cost, step=None if cost["failure"] else rng.randrange(STEPS))

    async def value(self, request: ValueRequest) -> Value:
        rng, cost = await self._paid(request)
        return Value(**cost, value=None if cost["failure"] else rng.random())


@dataclass
class FakeExecution:
    """Counts what it runs."""

    ran: list[str] = field(default_factory=list)

    async def feedback(self, problem: PublicProblem, program: str) -> Feedback:
        await asyncio.sleep(0)
        self.ran.append(program)
        right = int(np.cumprod(is_right(program.split("\n"))).sum())
        failures = tuple(
            Failure(f"public-{i}", "WA", str(i), "1", "0", "") for i in range(right, STEPS)
        )
        return Feedback(right, STEPS, failures)


class FakeScorer(Scorer):
    """0.9 before the first wrong thought and 0.1 from it on; some traces are too long for it."""

    fingerprint, view, views = "fake", "thoughts", ("thoughts",)

    def __init__(self, max_tokens: int = 50, too_long: str | None = None) -> None:
        self.max_tokens, self.too_long = max_tokens, too_long
        self.tokens = self.traces = 0

    def score_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[StepScores | InputError]:
        results: list[StepScores | InputError] = []
        for item in inputs:
            if self.too_long in item.thoughts:
                results.append(ExampleTooLongError("too long", 99, self.max_tokens))
                continue
            right = np.cumprod(is_right(item.thoughts))
            tokens = 10 * len(item.thoughts)
            self.tokens += tokens
            self.traces += 1
            results.append(StepScores((0.1 + 0.8 * right).astype(np.float32), tokens))
        return results


@dataclass
class World:
    """One policy, sandbox and PRM, and the searches that share them."""

    policy: FakePolicy = field(default_factory=FakePolicy)
    execution: FakeExecution = field(default_factory=FakeExecution)
    scorer: FakeScorer = field(default_factory=FakeScorer)
    log: Path | None = None

    def search(self, arms: Sequence[Arm], budget: Budget = EIGHT, seed: int = 0) -> list[Search]:
        """A search for each arm, side by side, with one log."""

        async def run() -> list[Search]:
            log = EventLog(self.log)
            generation = Generation(self.policy)
            scoring = Scoring(self.scorer, None, Stage("scoring", 2))
            searches = [
                Search(
                    PROBLEM,
                    seed,
                    budget,
                    generation,
                    self.execution,  # type: ignore[arg-type]
                    log,
                    scoring,
                    arm.stop_at_pass,
                    arm.aggregate if arm.rank else None,
                )
                for arm in arms
            ]
            await asyncio.gather(*(run_arm(a, s) for a, s in zip(arms, searches, strict=True)))
            return searches

        return asyncio.run(run())
