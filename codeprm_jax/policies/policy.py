"""The interface of whoever writes thoughts and programs, and judges them if asked to.

Every request carries its own seed, so that an answer depends on nothing but the request, and every
answer says what it cost. A request holds a `PublicProblem`: no policy sees a private test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import Feedback

# Why an answer is not what was asked for. The search counts these and goes on.
Failure = Literal["cut off", "empty", "no thoughts", "no code", "no step", "no value"]


@dataclass(frozen=True)
class ProposeRequest:
    """Asks for the thoughts that follow a prefix (empty: from the start).

    Attributes:
      thoughts: at most so many; None for all that complete the prefix.
      max_tokens: at most so many generated tokens; None for the policy's own limit. So in every
        request.
    """

    problem: PublicProblem
    prefix: tuple[str, ...]
    seed: int
    thoughts: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class ImplementRequest:
    """Asks for the program that carries out complete thoughts."""

    problem: PublicProblem
    thoughts: tuple[str, ...]
    seed: int
    max_tokens: int | None = None


@dataclass(frozen=True)
class RefineRequest:
    """Asks for another thought in place of thought number `step` (from 0) of a failed attempt."""

    problem: PublicProblem
    thoughts: tuple[str, ...]
    program: str
    feedback: Feedback
    step: int
    seed: int
    max_tokens: int | None = None


@dataclass(frozen=True)
class ReviseRequest:
    """Asks for all thoughts of a failed attempt anew, after reflecting on its feedback."""

    problem: PublicProblem
    thoughts: tuple[str, ...]
    program: str
    feedback: Feedback
    seed: int
    max_tokens: int | None = None


@dataclass(frozen=True)
class LocateRequest:
    """Asks which thought of a failed attempt is the first wrong one."""

    problem: PublicProblem
    thoughts: tuple[str, ...]
    program: str
    feedback: Feedback
    seed: int
    max_tokens: int | None = None


@dataclass(frozen=True)
class ValueRequest:
    """Asks how likely a prefix of thoughts leads to a right program."""

    problem: PublicProblem
    prefix: tuple[str, ...]
    seed: int
    max_tokens: int | None = None


Request = (
    ProposeRequest | ImplementRequest | RefineRequest | ReviseRequest | LocateRequest | ValueRequest
)


@dataclass(frozen=True)
class Answer:
    """What every answer says.

    Attributes:
      tokens: generated, at most the request's max_tokens.
      prompt_tokens: read by the policy; 0 where it does not count them.
      failure: why this is not what was asked for; None if it is.
    """

    tokens: int
    prompt_tokens: int = 0
    failure: Failure | None = None


@dataclass(frozen=True)
class Thoughts(Answer):
    """Proposed or revised thoughts.

    Attributes:
      thoughts: without the prefix; none if there was a failure, or nothing to add.
      complete: whether a program can be written now.
    """

    thoughts: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class Text(Answer):
    """A program, or a rewritten thought; "" if there was a failure and nothing can be used."""

    text: str = ""


@dataclass(frozen=True)
class Location(Answer):
    """The index (from 0) of the first wrong thought; None if there was a failure."""

    step: int | None = None


@dataclass(frozen=True)
class Value(Answer):
    """An estimate in [0, 1]; None if there was a failure."""

    value: float | None = None


@dataclass(frozen=True)
class TokenLimits:
    """A policy's own limits: the most tokens that it generates for one answer.

    Attributes:
      thoughts: for thoughts, proposed, rewritten or revised.
      program: for a program.
      judgement: for a location or a value.
    """

    thoughts: int
    program: int
    judgement: int

    def of(self, request: Request) -> int:
        """The most tokens that the answer to `request` can cost."""
        match request:
            case ImplementRequest():
                own = self.program
            case LocateRequest() | ValueRequest():
                own = self.judgement
            case _:
                own = self.thoughts
        return own if request.max_tokens is None else min(own, request.max_tokens)


class Policy(Protocol):
    """A generator of thoughts and programs. Calls may run at the same time, in one event loop.

    Attributes:
      name: what a report calls it, with every setting that changes an answer.
      simulated: whether it only plays a generator.
      limits: the most tokens that its answers cost.
      concurrency: requests that it answers at once; callers hold back the others.
    """

    name: str
    simulated: bool
    limits: TokenLimits
    concurrency: int

    async def propose(self, request: ProposeRequest) -> Thoughts:
        """Thoughts that follow the prefix."""

    async def implement(self, request: ImplementRequest) -> Text:
        """A program for complete thoughts."""

    async def refine(self, request: RefineRequest) -> Text:
        """Another thought for the named step."""

    async def revise(self, request: ReviseRequest) -> Thoughts:
        """Other thoughts for a failed attempt, from the start and complete."""

    async def locate(self, request: LocateRequest) -> Location:
        """The policy's own opinion about which thought is wrong."""

    async def value(self, request: ValueRequest) -> Value:
        """The policy's own opinion about a prefix."""

    async def aclose(self) -> None:
        """Ends what is under way in this event loop and gives back what it holds there."""
        return None

    def counts(self) -> dict[str, Any]:
        """What it has done in this process beside answering, such as retries; for the report."""
        return {}
