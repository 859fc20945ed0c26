"""What the tests of collection share: a policy that counts, and an oracle that needs no sandbox."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from codeprm_jax.files import RunError
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import ImplementRequest, ProposeRequest, Text, Thoughts
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search.rollouts import Outcome
from codeprm_jax.traces.trace import Failure, Feedback

CHAINS = {e.chain.problem_id: e.chain for e in ENTRIES}
SECRET = "what only the oracle knows"


class CountingPolicy(MutationPolicy):
    """Counts questions and tokens, and breaks off at a given question."""

    def __init__(self, breaks_at: int | None = None, **settings: float) -> None:
        super().__init__(CHAINS, **settings)
        self.breaks_at = breaks_at
        self.asked: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()

    async def propose(self, request: ProposeRequest) -> Thoughts:
        return self._counted(request, await super().propose(await self._waited(request)))

    async def implement(self, request: ImplementRequest) -> Text:
        return self._counted(request, await super().implement(await self._waited(request)))

    async def _waited(self, request: Any) -> Any:
        assert SECRET not in repr(request)
        for _ in range(request.seed % 3):  # answers overtake each other, as a server's do
            await asyncio.sleep(0)
        if self.breaks_at is not None and self.asked.total() >= self.breaks_at:
            raise RunError("the policy broke")
        self.asked[repr(request)] += 1
        return request

    def _counted(self, request: Any, answer: Any) -> Any:
        self.tokens[request.problem.id] += answer.tokens
        return answer


class ChainOracle:
    """A program passes all tests if it is the chain's reference."""

    def __init__(self) -> None:
        self.judged: Counter[tuple[str, str]] = Counter()

    async def __call__(self, problem: PublicProblem, program: str) -> Outcome:
        self.judged[problem.id, program] += 1
        right = program == CHAINS[problem.id].reference
        shown = Feedback(0, 1, (Failure("1", "WA", SECRET, "", "", ""),))
        return Outcome(2 if right else 1, 2, Feedback(1, 1) if right else shown)
