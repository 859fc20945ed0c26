"""The mutation policy: a simulated generator for work without a language model.

For every problem it knows a chain of steps, each with one right and several wrong variants. It
draws variants, writes the program of its draw, and errs while writing with a small probability.
Its opinions (locate, value) are right with a stated probability and drawn at random otherwise.
The programs are real and really executed; only the generator is simulated, and its `name` says so.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.policies.policy import (
    ImplementRequest,
    LocateRequest,
    Location,
    Policy,
    ProposeRequest,
    RefineRequest,
    ReviseRequest,
    Text,
    Thoughts,
    TokenLimits,
    Value,
    ValueRequest,
)
from codeprm_jax.problems.chain import Chain, ChainStep

_TOKEN = re.compile(r"\w+|[^\w\s]")

JUDGEMENT_TOKENS = 32  # what an opinion costs: a sentence of reasons and a number


def count_tokens(text: str) -> int:
    """Words and symbols in `text`: the unit in which this policy's output is paid for."""
    return len(_TOKEN.findall(text))


class MutationPolicy(Policy):
    """Draws from chains.

    Args:
      chains: by problem id.
      right_probability: that a drawn step is the right variant, where it may be drawn.
      slip_probability: that the program carries out another variant of one step than the thoughts
        say, so that equal thoughts do not always give equal programs.
      judge_accuracy: that an opinion is the truth; otherwise any step is named, or the opposite is
        said of a prefix.
    """

    simulated = True
    concurrency = 1024

    def __init__(
        self,
        chains: Mapping[str, Chain],
        right_probability: float = 0.7,
        slip_probability: float = 0.05,
        judge_accuracy: float = 0.6,
    ) -> None:
        given = {"right_probability": right_probability, "slip_probability": slip_probability}
        for name, value in {**given, "judge_accuracy": judge_accuracy}.items():
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be in [0, 1], not {value}")
        self._chains = chains
        self._right = right_probability
        self._slip = slip_probability
        self._judge = judge_accuracy
        self.name = (
            f"mutation(right={right_probability:g}, slip={slip_probability:g}, "
            f"judge={judge_accuracy:g})"
        )

    @cached_property
    def limits(self) -> TokenLimits:  # type: ignore[override]  # found once, when asked for
        """The most that any draw from its chains can cost."""
        thoughts = program = 1
        for chain in self._chains.values():
            frame = count_tokens(chain.prologue) + count_tokens(chain.epilogue)
            most = [
                [max(count_tokens(text) for text in texts) for texts in zip(*pairs, strict=True)]
                for pairs in ([(v.thought, v.code) for v in s.variants] for s in chain.steps)
            ]
            thoughts = max(thoughts, sum(t for t, _ in most))
            program = max(program, frame + sum(c for _, c in most))
        return TokenLimits(thoughts, program, JUDGEMENT_TOKENS)

    async def propose(self, request: ProposeRequest) -> Thoughts:
        """Draws a variant for the steps after the prefix."""
        rng = random.Random(stable_seed("propose", request.problem.id, request.seed))
        chain, start = self._chain(request.problem.id), len(request.prefix)
        stop = len(chain.steps)
        if request.thoughts is not None:
            stop = min(stop, start + request.thoughts)
        thoughts = self._draw_all(chain.steps[start:stop], rng)
        return _cut(thoughts, stop == len(chain.steps), request.max_tokens)

    async def implement(self, request: ImplementRequest) -> Text:
        """Writes the fragments of the thoughts, or slips in one step."""
        rng = random.Random(stable_seed("implement", request.problem.id, request.seed))
        chain = self._chain(request.problem.id)
        choices = _choices(chain, request.thoughts)
        if len(choices) != len(chain.steps):
            raise ValueError(
                f"{chain.problem_id}: {len(choices)} thoughts for {len(chain.steps)} steps"
            )
        if rng.random() < self._slip:
            index = rng.randrange(len(choices))
            others = [k for k in range(len(chain.steps[index].variants)) if k != choices[index]]
            if others:
                choices[index] = rng.choice(others)
        return _text(chain.program(choices), request.max_tokens)

    async def refine(self, request: RefineRequest) -> Text:
        """Draws another variant than the one that stands at the step, right or wrong."""
        rng = random.Random(stable_seed("refine", request.problem.id, request.seed))
        chain = self._chain(request.problem.id)
        current = _choices(chain, request.thoughts)[request.step]
        step = chain.steps[request.step]
        return _text(step.variants[self._draw(step, rng, current)].thought, request.max_tokens)

    async def revise(self, request: ReviseRequest) -> Thoughts:
        """Draws another variant at the step that it holds to be wrong, and all after it anew."""
        rng = random.Random(stable_seed("revise", request.problem.id, request.seed))
        chain = self._chain(request.problem.id)
        choices = _choices(chain, request.thoughts)
        wrong = self._locate(choices, rng)
        step = chain.steps[wrong]
        rewritten = step.variants[self._draw(step, rng, choices[wrong])].thought
        rest = self._draw_all(chain.steps[wrong + 1 :], rng)
        return _cut((*request.thoughts[:wrong], rewritten, *rest), True, request.max_tokens)

    async def locate(self, request: LocateRequest) -> Location:
        """The first wrong step (the first of all where none is), or any step."""
        tokens = JUDGEMENT_TOKENS
        if request.max_tokens is not None and request.max_tokens < tokens:
            return Location(request.max_tokens, failure="cut off")
        rng = random.Random(stable_seed("locate", request.problem.id, request.seed))
        choices = _choices(self._chain(request.problem.id), request.thoughts)
        return Location(tokens, step=self._locate(choices, rng))

    async def value(self, request: ValueRequest) -> Value:
        """0.75 for a prefix that it holds to be right, 0.25 for another."""
        tokens = JUDGEMENT_TOKENS
        if request.max_tokens is not None and request.max_tokens < tokens:
            return Value(request.max_tokens, failure="cut off")
        rng = random.Random(stable_seed("value", request.problem.id, request.seed))
        right = not any(_choices(self._chain(request.problem.id), request.prefix))
        if rng.random() >= self._judge:
            right = not right
        return Value(tokens, value=0.75 if right else 0.25)

    def _locate(self, choices: Sequence[int], rng: random.Random) -> int:
        if rng.random() >= self._judge:
            return rng.randrange(len(choices))
        return next((i for i, choice in enumerate(choices) if choice), 0)

    def _draw_all(self, steps: Sequence[ChainStep], rng: random.Random) -> tuple[str, ...]:
        return tuple(s.variants[self._draw(s, rng, None)].thought for s in steps)

    def _draw(self, step: ChainStep, rng: random.Random, excluded: int | None) -> int:
        wrong = [k for k in range(1, len(step.variants)) if k != excluded]
        if excluded != 0 and (not wrong or rng.random() < self._right):
            return 0
        return rng.choice(wrong) if wrong else 0

    def _chain(self, problem_id: str) -> Chain:
        try:
            return self._chains[problem_id]
        except KeyError:
            raise InputError(
                f"the mutation policy has no chain for problem {problem_id!r}: "
                "it needs the bank or a source with reference solutions"
            ) from None


def _choices(chain: Chain, thoughts: Sequence[str]) -> list[int]:
    """The variants that thoughts, complete or not, stand for."""
    if len(thoughts) > len(chain.steps):
        raise ValueError(
            f"{chain.problem_id}: {len(thoughts)} thoughts for {len(chain.steps)} steps"
        )
    choices = [s.find(t) for s, t in zip(chain.steps, thoughts, strict=False)]
    if None in choices:
        number = choices.index(None)
        raise ValueError(
            f"{chain.problem_id}: step {number + 1} has no variant {thoughts[number]!r}"
        )
    return [c for c in choices if c is not None]


def _cut(thoughts: tuple[str, ...], complete: bool, max_tokens: int | None) -> Thoughts:
    """Thoughts and their cost, or those that are whole where the limit ends them."""
    costs = [count_tokens(t) for t in thoughts]
    if max_tokens is None or sum(costs) <= max_tokens:
        return Thoughts(sum(costs), thoughts=thoughts, complete=complete)
    whole = [i for i in range(len(costs)) if sum(costs[: i + 1]) <= max_tokens]
    kept = thoughts[: len(whole)]
    return Thoughts(max_tokens, failure="cut off", thoughts=kept, complete=False)


def _text(text: str, max_tokens: int | None) -> Text:
    tokens = count_tokens(text)
    if max_tokens is None or tokens <= max_tokens:
        return Text(tokens, text=text)
    return Text(max_tokens, failure="cut off", text="")
