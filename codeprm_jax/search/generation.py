"""The policy as searches use it: as many requests at once as it answers, and how busy it is."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from codeprm_jax.policies.policy import (
    Answer,
    ImplementRequest,
    LocateRequest,
    Policy,
    ProposeRequest,
    RefineRequest,
    Request,
    ReviseRequest,
    TokenLimits,
)
from codeprm_jax.search.stages import Stage


class Generation:
    """Asks a policy, within one event loop; closes it there at the end of an `async with` block.

    Attributes:
      stage: how busy the policy is.
      limits: the most tokens that its answers cost.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._room = asyncio.Semaphore(policy.concurrency)
        self.stage = Stage("generation", policy.concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._policy.aclose()

    @property
    def limits(self) -> TokenLimits:
        """The most tokens that its answers cost."""
        return self._policy.limits

    async def answer(self, request: Request) -> Answer:
        """The policy's answer, when it has room for the request."""
        async with self._room:
            with self.stage:
                return await self._ask(request)

    async def _ask(self, request: Request) -> Any:
        match request:
            case ProposeRequest():
                return await self._policy.propose(request)
            case ImplementRequest():
                return await self._policy.implement(request)
            case RefineRequest():
                return await self._policy.refine(request)
            case ReviseRequest():
                return await self._policy.revise(request)
            case LocateRequest():
                return await self._policy.locate(request)
            case _:
                return await self._policy.value(request)
