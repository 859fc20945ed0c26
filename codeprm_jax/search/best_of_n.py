"""Best-of-N with verify–refine (METHOD, GVR), as one batched loop over many problems.

Each search draws a trace and runs its program on the public tests. A failing trace is rewritten at
the step that the chooser names, at most `max_think_times` times in a row; then a fresh sample is
drawn. A search ends when a program passes the public tests or its executions are spent; its answer
is the program with the best public pass rate, the earliest of equal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.policies.policy import (
    ImplementRequest,
    Policy,
    ProposeRequest,
    RefineRequest,
)
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search.execution import PublicExecutor
from codeprm_jax.search.ledger import Ledger
from codeprm_jax.search.refine import Attempt, FailedAttempt, StepChooser
from codeprm_jax.traces.trace import Feedback


@dataclass(frozen=True)
class SearchConfig:
    """Limits of one search.

    Attributes:
      max_executions: programs run on the public tests; the budget all arms share.
      max_think_times: rewrites of one sample before a fresh one is drawn.
      max_samples: fresh samples; None for as many as the budget allows.
    """

    max_executions: int = 8
    max_think_times: int = 2
    max_samples: int | None = None

    def __post_init__(self) -> None:
        if self.max_executions < 1 or self.max_think_times < 0:
            raise InputError("max_executions >= 1 and max_think_times >= 0 are needed")


@dataclass
class Search:
    """One search on one problem, as it goes.

    Attributes:
      problem: the public half; a search never holds more.
      seed: equal seeds draw equal fresh samples, whatever the chooser.
      ledger: what it has spent.
      attempts: in order of execution.
    """

    problem: PublicProblem
    seed: int
    ledger: Ledger
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answer(self) -> int:
        """Index of the attempt with the best public pass rate, the earliest of equal ones."""
        rates = [a.feedback.pass_rate for a in self.attempts]
        return rates.index(max(rates))

    @property
    def samples(self) -> int:
        """Fresh samples drawn."""
        return sum(a.rewritten is None for a in self.attempts)

    def finished(self, config: SearchConfig, refines: bool) -> bool:
        """Whether there is nothing left to do."""
        if not self.attempts:
            return False
        if self.attempts[-1].feedback.all_passed or self.ledger.executions_left < 1:
            return True
        exhausted = config.max_samples is not None and self.samples >= config.max_samples
        return exhausted and not (refines and self.may_refine(config))

    def may_refine(self, config: SearchConfig) -> bool:
        """Whether the last attempt has rewrites left."""
        if not self.attempts:
            return False
        rewrites = 0
        for attempt in reversed(self.attempts):
            if attempt.rewritten is None:
                break
            rewrites += 1
        return rewrites < config.max_think_times

    def refinements(self) -> dict[str, int]:
        """Rewrites by what they did to the public pass rate: helped, harmed, neutral."""
        counts = {"helped": 0, "harmed": 0, "neutral": 0}
        for before, after in zip(self.attempts, self.attempts[1:], strict=False):
            if after.rewritten is not None:
                change = after.feedback.pass_rate - before.feedback.pass_rate
                name = "helped" if change > 0 else "harmed" if change < 0 else "neutral"
                counts[name] += 1
        return counts

    def to_json(self) -> dict[str, Any]:
        """Attempts, answer, ledger and refinement counts."""
        return {
            "attempts": [
                {
                    "thoughts": list(a.thoughts),
                    "program": a.program,
                    "feedback": a.feedback.to_json(),
                    "sample": a.sample,
                    "rewritten": a.rewritten,
                    "scores": None if a.scores is None else list(a.scores),
                }
                for a in self.attempts
            ],
            "answer": self.answer,
            "ledger": self.ledger.to_json(),
            "refinements": self.refinements(),
        }


def best_of_n(
    problems: Sequence[PublicProblem],
    policy: Policy,
    executor: PublicExecutor,
    chooser: StepChooser | None,
    config: SearchConfig,
    seed: int,
) -> list[Search]:
    """Searches all problems together, one batch of requests a round.

    Args:
      chooser: names the step to rewrite; None draws fresh samples only.
      seed: of the draws; combined with the problem's id, so that neither the order of the problems
        nor what else is in the batch changes a result.
    """
    searches = [
        Search(p, stable_seed("search", seed, p.id), Ledger(config.max_executions))
        for p in problems
    ]
    while True:
        active = [s for s in searches if not s.finished(config, chooser is not None)]
        if not active:
            return searches
        refining = [s for s in active if chooser is not None and s.may_refine(config)]
        fresh = [s for s in active if chooser is None or not s.may_refine(config)]
        drafts = _sample(fresh, policy)
        if chooser is not None and refining:
            drafts += _refine(refining, policy, chooser)
        _implement_and_run(fresh + refining, drafts, policy, executor)


def _sample(searches: Sequence[Search], policy: Policy) -> list[Attempt]:
    """Fresh thoughts, not yet implemented."""
    requests = [ProposeRequest(s.problem, (), stable_seed(s.seed, s.samples)) for s in searches]
    drafts = []
    for search, proposed in zip(searches, policy.propose(requests), strict=True):
        search.ledger.generate(proposed.tokens)
        drafts.append(Attempt(proposed.thoughts, "", _NOT_RUN, search.samples))
    return drafts


def _refine(searches: Sequence[Search], policy: Policy, chooser: StepChooser) -> list[Attempt]:
    """The last attempts with one thought rewritten, not yet implemented."""
    failed = [
        FailedAttempt(s.problem, s.attempts[-1], stable_seed(s.seed, "verify", len(s.attempts)))
        for s in searches
    ]
    choices = chooser.choose(failed)
    requests = []
    for search, item, choice in zip(searches, failed, choices, strict=True):
        search.ledger.score(choice.scored_tokens)
        search.attempts[-1] = replace(item.attempt, scores=choice.scores)
        requests.append(
            RefineRequest(
                item.problem,
                item.attempt.thoughts,
                item.attempt.program,
                item.attempt.feedback,
                choice.step,
                stable_seed(search.seed, "refine", len(search.attempts)),
            )
        )
    drafts = []
    for search, request, text in zip(searches, requests, policy.refine(requests), strict=True):
        search.ledger.generate(text.tokens)
        thoughts = list(request.thoughts)
        thoughts[request.step] = text.text
        sample = search.attempts[-1].sample
        drafts.append(Attempt(tuple(thoughts), "", _NOT_RUN, sample, rewritten=request.step))
    return drafts


def _implement_and_run(
    searches: Sequence[Search],
    drafts: Sequence[Attempt],
    policy: Policy,
    executor: PublicExecutor,
) -> None:
    """Turns drafts into attempts: writes the programs and runs them on the public tests."""
    # A fresh sample's seed knows only its number: all choosers see the same samples.
    programs = policy.implement(
        [
            ImplementRequest(
                s.problem,
                d.thoughts,
                stable_seed(
                    s.seed, "implement", d.sample, None if d.rewritten is None else len(s.attempts)
                ),
            )
            for s, d in zip(searches, drafts, strict=True)
        ]
    )
    for search, program in zip(searches, programs, strict=True):
        search.ledger.generate(program.tokens)
        search.ledger.execute()
    feedback = executor.run([(s.problem, p.text) for s, p in zip(searches, programs, strict=True)])
    for search, draft, program, said in zip(searches, drafts, programs, feedback, strict=True):
        search.attempts.append(replace(draft, program=program.text, feedback=said))


_NOT_RUN = Feedback(0, 0)
