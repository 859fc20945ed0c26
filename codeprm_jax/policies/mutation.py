"""The mutation policy: a simulated generator for work without a language model.

For every problem it knows a chain of steps, each with one right and several wrong variants. It
draws variants, writes the program of its draw, and errs while writing with a small probability.
The programs are real and really executed; only the generator is simulated, and its `name` says so.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.policies.policy import (
    ImplementRequest,
    ProposeRequest,
    RefineRequest,
    Text,
    Thoughts,
)
from codeprm_jax.problems.chain import Chain, ChainStep

_TOKEN = re.compile(r"\w+|[^\w\s]")


def count_tokens(text: str) -> int:
    """Words and symbols in `text`: the unit in which this policy's output is paid for."""
    return len(_TOKEN.findall(text))


class MutationPolicy:
    """Draws from chains.

    Args:
      chains: by problem id.
      right_probability: that a drawn step is the right variant, where it may be drawn.
      slip_probability: that the program carries out another variant of one step than the thoughts
        say, so that equal thoughts do not always give equal programs.
    """

    def __init__(
        self,
        chains: Mapping[str, Chain],
        right_probability: float = 0.7,
        slip_probability: float = 0.05,
    ) -> None:
        for name, value in (("right", right_probability), ("slip", slip_probability)):
            if not 0 <= value <= 1:
                raise InputError(f"{name}_probability must be in [0, 1], not {value}")
        self._chains = chains
        self._right = right_probability
        self._slip = slip_probability

    @property
    def name(self) -> str:
        """The policy and its settings."""
        return f"mutation(right={self._right:g}, slip={self._slip:g})"

    def propose(self, requests: Sequence[ProposeRequest]) -> list[Thoughts]:
        """Draws a variant for every step after the prefix."""
        return [self._propose(r) for r in requests]

    def implement(self, requests: Sequence[ImplementRequest]) -> list[Text]:
        """Writes the fragments of the thoughts, or slips in one step."""
        return [self._implement(r) for r in requests]

    def refine(self, requests: Sequence[RefineRequest]) -> list[Text]:
        """Draws another variant than the one that stands at the step, right or wrong."""
        return [self._refine(r) for r in requests]

    def _propose(self, request: ProposeRequest) -> Thoughts:
        rng = random.Random(stable_seed("propose", request.problem.id, request.seed))
        steps = self._chain(request.problem.id).steps[len(request.prefix) :]
        thoughts = tuple(s.variants[self._draw(s, rng, None)].thought for s in steps)
        return Thoughts(thoughts, sum(count_tokens(t) for t in thoughts))

    def _implement(self, request: ImplementRequest) -> Text:
        rng = random.Random(stable_seed("implement", request.problem.id, request.seed))
        chain = self._chain(request.problem.id)
        choices = self._choices(chain, request.thoughts)
        if rng.random() < self._slip:
            index = rng.randrange(len(choices))
            others = [k for k in range(len(chain.steps[index].variants)) if k != choices[index]]
            if others:
                choices[index] = rng.choice(others)
        program = chain.program(choices)
        return Text(program, count_tokens(program))

    def _refine(self, request: RefineRequest) -> Text:
        rng = random.Random(stable_seed("refine", request.problem.id, request.seed))
        chain = self._chain(request.problem.id)
        current = self._choices(chain, request.thoughts)[request.step]
        step = chain.steps[request.step]
        thought = step.variants[self._draw(step, rng, current)].thought
        return Text(thought, count_tokens(thought))

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

    @staticmethod
    def _choices(chain: Chain, thoughts: Sequence[str]) -> list[int]:
        if len(thoughts) != len(chain.steps):
            raise ValueError(
                f"{chain.problem_id}: {len(thoughts)} thoughts for {len(chain.steps)} steps"
            )
        choices = [s.find(t) for s, t in zip(chain.steps, thoughts, strict=True)]
        if None in choices:
            number = choices.index(None)
            raise ValueError(
                f"{chain.problem_id}: step {number + 1} has no variant {thoughts[number]!r}"
            )
        return [c for c in choices if c is not None]
