from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from codeprm_jax.data.layout import ExampleTooLongError, StepInput
from codeprm_jax.files import InputError
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import ImplementRequest, ProposeRequest, RefineRequest, Text
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.problem import Problem, PublicProblem
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.search.best_of_n import SearchConfig, best_of_n
from codeprm_jax.search.execution import PublicExecutor
from codeprm_jax.search.ledger import BudgetExceededError, Ledger
from codeprm_jax.search.refine import LastStep, LowestScore, RandomStep
from sandbox_runner.pool import Pool
from sandbox_runner.types import Job, Report

CHAINS = {e.chain.problem_id: e.chain for e in ENTRIES}


class CountingJudge:
    """The real pool, with a count of what it was asked and which tests it was shown."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.jobs = pool, []

    def run(self, jobs: Iterable[Job]) -> Iterable[Report]:
        jobs = list(jobs)
        self.jobs += jobs
        return self.pool.run(jobs)


class CountingPolicy(MutationPolicy):
    """Counts tokens by itself, to compare with the ledger."""

    def __init__(self) -> None:
        super().__init__(CHAINS)
        self.tokens = 0

    def propose(self, requests: Sequence[ProposeRequest]) -> list:
        answers = super().propose(requests)
        self.tokens += sum(a.tokens for a in answers)
        return answers

    def implement(self, requests: Sequence[ImplementRequest]) -> list[Text]:
        answers = super().implement(requests)
        self.tokens += sum(a.tokens for a in answers)
        return answers

    def refine(self, requests: Sequence[RefineRequest]) -> list[Text]:
        answers = super().refine(requests)
        self.tokens += sum(a.tokens for a in answers)
        return answers


class OracleScorer:
    """Scores 0 at the first wrong variant and 1 before it, from the chain."""

    def __init__(self, problems: Sequence[PublicProblem]) -> None:
        self.chains = {p.statement: CHAINS[p.id] for p in problems}
        self.tokens = 0

    def score_each(self, inputs: Sequence[StepInput]) -> list[StepScores]:
        results = []
        for item in inputs:
            steps = self.chains[item.statement].steps
            right = [s.find(t) == 0 for s, t in zip(steps, item.thoughts, strict=True)]
            self.tokens += 10
            results.append(StepScores(np.cumprod(right).astype(np.float32), 10))
        return results


@pytest.mark.parametrize("chooser", [None, RandomStep(), LastStep()])
def test_ledger_counts_everything_and_budgets_hold(
    pool: Pool, some_problems: list[Problem], chooser: RandomStep | LastStep | None
) -> None:
    """Invariant 9."""
    policy = CountingPolicy()
    config = SearchConfig(max_executions=5)
    public = [p.public for p in some_problems]
    searches = best_of_n(public, policy, PublicExecutor(pool), chooser, config, seed=3)
    assert sum(s.ledger.generated_tokens for s in searches) == policy.tokens
    for search in searches:
        assert search.ledger.executions == len(search.attempts) <= 5
        done = search.attempts[-1].feedback.all_passed
        assert done or search.ledger.executions == 5
        assert not any(a.feedback.all_passed for a in search.attempts[:-1])


def test_search_runs_public_tests_only(pool: Pool, some_problems: list[Problem]) -> None:
    judge = CountingJudge(pool)
    public = [p.public for p in some_problems]
    policy = MutationPolicy(CHAINS)
    best_of_n(public, policy, PublicExecutor(judge), LastStep(), SearchConfig(), seed=0)
    shown = {t.id for job in judge.jobs for t in job.tests}
    assert shown and all(i.startswith("public") for i in shown)


def test_all_choosers_start_from_the_same_samples(pool: Pool, some_problems: list[Problem]) -> None:
    public = [p.public for p in some_problems]
    executor, policy = PublicExecutor(pool), MutationPolicy(CHAINS)
    runs = [
        best_of_n(public, policy, executor, chooser, SearchConfig(6, 1), seed=7)
        for chooser in (None, RandomStep(), LastStep())
    ]
    for searches in zip(*runs, strict=True):
        fresh = [
            {a.sample: (a.thoughts, a.program) for a in s.attempts if a.rewritten is None}
            for s in searches
        ]
        for number in set.intersection(*(set(f) for f in fresh)):
            assert len({f[number] for f in fresh}) == 1


def test_a_batch_gives_what_single_searches_give(pool: Pool, some_problems: list[Problem]) -> None:
    public = [p.public for p in some_problems]
    executor, policy = PublicExecutor(pool), MutationPolicy(CHAINS)
    together = best_of_n(public, policy, executor, RandomStep(), SearchConfig(), seed=1)
    for problem, search in zip(public, together, strict=True):
        (alone,) = best_of_n([problem], policy, executor, RandomStep(), SearchConfig(), seed=1)
        assert alone.attempts == search.attempts


def test_rewrites_change_one_thought_and_are_bounded(
    pool: Pool, some_problems: list[Problem]
) -> None:
    public = [p.public for p in some_problems]
    policy = MutationPolicy(CHAINS, right_probability=0.1)
    config = SearchConfig(max_executions=9, max_think_times=2)
    searches = best_of_n(public, policy, PublicExecutor(pool), RandomStep(), config, seed=2)
    for search in searches:
        in_a_row = 0
        for before, after in zip(search.attempts, search.attempts[1:], strict=False):
            changed = [
                i
                for i, (x, y) in enumerate(zip(before.thoughts, after.thoughts, strict=True))
                if x != y
            ]
            if after.rewritten is None:
                in_a_row = 0
                assert after.sample == before.sample + 1
            else:
                in_a_row += 1
                assert changed == [after.rewritten]
            assert in_a_row <= 2


def test_a_perfect_scorer_beats_a_random_step(pool: Pool) -> None:
    """Also shows that scored tokens are counted and scores are kept with the attempt."""
    problems = [e.problem.public for e in ENTRIES]
    policy, executor = MutationPolicy(CHAINS), PublicExecutor(pool)
    scorer = OracleScorer(problems)
    config = SearchConfig(max_executions=4)
    oracle = best_of_n(problems, policy, executor, LowestScore(scorer), config, seed=4)
    random = best_of_n(problems, policy, executor, RandomStep(), config, seed=4)

    def solved(searches: list) -> int:
        return sum(s.attempts[s.answer].feedback.all_passed for s in searches)

    assert solved(oracle) > solved(random)
    assert sum(s.ledger.scored_tokens for s in oracle) == scorer.tokens > 0
    for search in oracle:
        for attempt, after in zip(search.attempts, search.attempts[1:], strict=False):
            if after.rewritten is not None:
                assert attempt.scores is not None
                assert after.rewritten == int(np.argmin(attempt.scores))


def test_ledger_refuses_to_overdraw() -> None:
    ledger = Ledger(max_executions=1)
    ledger.execute()
    with pytest.raises(BudgetExceededError):
        ledger.execute()
    assert ledger.executions == 1


def test_nonsense_budgets_are_refused() -> None:
    with pytest.raises(InputError):
        SearchConfig(max_executions=0)


def test_an_attempt_too_long_to_score_is_rewritten_at_its_end(
    pool: Pool, some_problems: list[Problem]
) -> None:
    class Refusing(OracleScorer):
        def score_each(self, inputs: Sequence[StepInput]) -> list[StepScores | InputError]:
            refused = some_problems[0].public.statement
            others = iter(super().score_each([i for i in inputs if i.statement != refused]))
            error = ExampleTooLongError("too long")
            return [error if i.statement == refused else next(others) for i in inputs]

    public = [p.public for p in some_problems]
    chooser = LowestScore(Refusing(public))
    policy = MutationPolicy(CHAINS, right_probability=0.2)
    searches = best_of_n(public, policy, PublicExecutor(pool), chooser, SearchConfig(4), seed=0)
    rewritten = {a.rewritten for a in searches[0].attempts} - {None}
    assert rewritten == {len(searches[0].attempts[0].thoughts) - 1}
    assert searches[0].ledger.scored_tokens == 0 < searches[1].ledger.scored_tokens
