"""A policy that asks any OpenAI-compatible server: vLLM, SGLang, llama.cpp, a hosted API.

Requests become chat completions through prompt files that a user can replace; answers are read
tolerantly, and one that cannot be used is a failure that is counted, never an error. Answers cost
what the server's usage says; where it says nothing, the limit that was asked for, so that no budget
is overdrawn. See docs/policies.md.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

from codeprm_jax.files import InputError
from codeprm_jax.policies.openai_client import ChatClient, ClientStatistics
from codeprm_jax.policies.openai_config import OpenAIConfig
from codeprm_jax.policies.openai_parsing import (
    parse_plan,
    parse_program,
    parse_step,
    parse_thought,
    parse_value,
    visible,
)
from codeprm_jax.policies.openai_prompts import Prompts
from codeprm_jax.policies.policy import (
    Answer,
    Failure,
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
    Value,
    ValueRequest,
)

__all__ = ["OpenAIConfig", "OpenAIPolicy", "OpenAIStatistics"]

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)

SEEDS = 2**31 - 1  # servers hold a seed in 31, 32 or 64 bits


@dataclass
class OpenAIStatistics:
    """What was asked and what became of it, in this process.

    Attributes:
      client: what went over the wire.
      answers: by kind of request, cached ones included: "propose", "implement" …
      failures: by kind and failure: "implement: no code", "locate: cut off" …
    """

    client: ClientStatistics
    answers: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """All counts, in an order that does not depend on chance."""
        counts = {"answers": self.answers, "failures": self.failures}
        return self.client.to_json() | {k: dict(sorted(c.items())) for k, c in counts.items()}


class _Said(NamedTuple):
    """A visible text, whether the limit cut it, and what it cost."""

    text: str
    cut: bool
    tokens: int
    prompt_tokens: int


class OpenAIPolicy(Policy):
    """Asks a model server. Used in one event loop; closed at the end of an `async with` block.

    Every method raises what `openai_client.ChatClient.complete` does. Cancelling a call cancels its
    request.

    Attributes:
      statistics: counts, as they are now.

    Raises:
      InputError: no model is named, or a prompt file or the cache cannot be used.
    """

    simulated = False

    def __init__(self, config: OpenAIConfig) -> None:
        if not config.model:
            raise InputError(
                "the openai policy needs its model's name (openai.model), as the server lists it "
                "at /v1/models"
            )
        self.config = config
        self.limits = config.limits
        self.concurrency = config.concurrency
        self._extra = config.extra()
        self._prompts = Prompts(config.prompts)
        self._client = ChatClient(config)
        self.statistics = OpenAIStatistics(self._client.statistics)
        limits = f"{self.limits.thoughts}/{self.limits.program}/{self.limits.judgement}"
        extra = f", extra={json.dumps(self._extra, sort_keys=True)}" if self._extra else ""
        self.name = (
            f"openai(model={config.model}, temperature={config.temperature:g}, "
            f"judgement_temperature={config.judgement_temperature:g}, top_p={config.top_p:g}, "
            f"thoughts={config.thoughts}, limits={limits}, prompts={self._prompts.digest}{extra})"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the requests in flight and closes the connections. A later call opens new ones."""
        await self._client.close()

    def counts(self) -> dict[str, Any]:
        """`statistics`, for the report."""
        return self.statistics.to_json()

    async def propose(self, request: ProposeRequest) -> Thoughts:
        """The next thoughts, up to the number that a plan has.

        The plan is complete when it has that many, when the model says that it is done, or when all
        were asked for and the model ended its list by itself.
        """
        left = self.config.thoughts - len(request.prefix)
        wanted = left if request.thoughts is None else min(request.thoughts, left)
        if wanted < 1:
            return Thoughts(0, complete=left < 1)
        said = await self._ask(request, wanted)
        plan = parse_plan(said.text)
        whole = plan.thoughts[:-1] if said.cut and plan.open else plan.thoughts
        thoughts = whole[:wanted]
        # A plan that ends beyond what was asked for has lost its end: it is not complete here.
        complete = len(thoughts) >= left or (plan.done and len(whole) <= wanted)
        failure: Failure | None = None
        if said.cut and len(thoughts) < wanted and not plan.done:
            failure = "cut off"
        elif not thoughts and not (plan.done and request.prefix):
            failure, complete = _nothing(said, "no thoughts"), False
        elif request.thoughts is None:
            complete = True
        return self._counted(
            "propose",
            said,
            Thoughts(said.tokens, said.prompt_tokens, failure, thoughts, complete),
        )

    async def implement(self, request: ImplementRequest) -> Text:
        """The program in the answer; "" where it is cut off."""
        said = await self._ask(request)
        program = parse_program(said.text, request.problem.entry_point, said.cut)
        failure = _nothing(said, "no code") if program is None else None
        return self._counted(
            "implement", said, Text(said.tokens, said.prompt_tokens, failure, program or "")
        )

    async def refine(self, request: RefineRequest) -> Text:
        """The new thought; "" where it is cut off."""
        said = await self._ask(request)
        thought = parse_thought(said.text, request.step, len(request.thoughts))
        if said.cut:
            thought = None
        failure = _nothing(said, "no thoughts") if thought is None else None
        return self._counted(
            "refine", said, Text(said.tokens, said.prompt_tokens, failure, thought or "")
        )

    async def revise(self, request: ReviseRequest) -> Thoughts:
        """A new plan of as many thoughts as a plan has, or fewer."""
        said = await self._ask(request)
        plan = parse_plan(said.text)
        whole = plan.thoughts[:-1] if said.cut and plan.open else plan.thoughts
        thoughts = whole[: self.config.thoughts]
        failure: Failure | None = None
        if said.cut and len(thoughts) < self.config.thoughts and not plan.done:
            failure = "cut off"
        elif not thoughts:
            failure = _nothing(said, "no thoughts")
        return self._counted(
            "revise",
            said,
            Thoughts(said.tokens, said.prompt_tokens, failure, thoughts, failure is None),
        )

    async def locate(self, request: LocateRequest) -> Location:
        """The thought that the answer names at its end."""
        said = await self._ask(request)
        step = None if said.cut else parse_step(said.text, len(request.thoughts))
        failure = _nothing(said, "no step") if step is None else None
        return self._counted(
            "locate", said, Location(said.tokens, said.prompt_tokens, failure, step)
        )

    async def value(self, request: ValueRequest) -> Value:
        """The number that the answer names at its end."""
        said = await self._ask(request)
        value = None if said.cut else parse_value(said.text)
        failure = _nothing(said, "no value") if value is None else None
        return self._counted("value", said, Value(said.tokens, said.prompt_tokens, failure, value))

    async def _ask(self, request: Request, count: int = 0) -> _Said:
        config, limit = self.config, self.limits.of(request)
        if limit < 1:  # no server takes that; what it would have said is cut off whole
            return _Said("", True, 0, 0)
        judges = isinstance(request, LocateRequest | ValueRequest)
        completion = await self._client.complete(
            {
                "model": config.model,
                "messages": self._prompts.messages(request, config.thoughts, count),
                "temperature": config.judgement_temperature if judges else config.temperature,
                "top_p": config.top_p,
                "seed": request.seed % SEEDS,
                config.max_tokens_parameter: limit,
                **self._extra,
            }
        )
        return _Said(
            visible(completion.text),
            completion.cut,
            limit if completion.tokens is None else completion.tokens,
            completion.prompt_tokens or 0,
        )

    def _counted(self, kind: str, said: _Said, answer: A) -> A:
        self.statistics.answers[kind] += 1
        if answer.failure is not None:
            self.statistics.failures[f"{kind}: {answer.failure}"] += 1
            logger.debug("%s: %s in %r", kind, answer.failure, said.text[:300])
        return answer


def _nothing(said: _Said, otherwise: Failure) -> Failure:
    """Why there is nothing that can be used."""
    if said.cut:
        return "cut off"
    return otherwise if said.text else "empty"
