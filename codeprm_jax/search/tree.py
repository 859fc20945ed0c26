"""Tree collection: rollouts where they tell most (OmegaPRM: Luo et al. 2024; METHOD, section 2).

A state is a prefix of thoughts, and its value MC(s) is the share of its own rollouts that are
correct. Wrong rollouts of states that can still be saved wait in a pool. The one with the highest
priority is taken out, and its first wrong thought is found by binary search, with an estimate of
MC at each midpoint; the states met on the way add their own wrong rollouts to the pool.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from codeprm_jax.files import InputError
from codeprm_jax.search.rollouts import Rollouts, Start
from codeprm_jax.traces.trace import Trace


@dataclass(frozen=True)
class TreeConfig:
    """The constants of the search; the defaults are the release's.

    Attributes:
      alpha: base of Q's factor for the state's value.
      beta: base of Q's factor for the rollout's length.
      length: L, the words of a rollout that make that factor beta.
      c_puct: weight of U, which favours states that were selected seldom.
      root_rollouts: from the start of a problem.
      rollouts: an estimate of MC, from every other state.
      root_thoughts: asked for at once from the root, until the thoughts are complete.
      new_thoughts: the same from other states.
      searches: of a problem, at most.
    """

    alpha: float = 0.5
    beta: float = 0.9
    length: int = 2048
    c_puct: float = 0.125
    root_rollouts: int = 9
    rollouts: int = 9
    root_thoughts: int = 4
    new_thoughts: int = 2
    searches: int = 16

    def __post_init__(self) -> None:
        names = ("length", "root_rollouts", "rollouts", "root_thoughts", "new_thoughts", "searches")
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} must be in (0, 1], not {getattr(self, name)}")
        if not (math.isfinite(self.c_puct) and self.c_puct >= 0):
            raise InputError(f"c_puct must be 0 or more, not {self.c_puct}")


@dataclass(eq=False)
class State:
    """A prefix whose value was estimated.

    Attributes:
      thoughts: the prefix.
      passes, trials: correct rollouts from it, and rollouts with a verdict.
      visits: N(s), how often a rollout of it was taken from the pool.
    """

    thoughts: tuple[str, ...]
    passes: int
    trials: int
    visits: int = 0

    @property
    def value(self) -> float | None:
        """MC(s), in [0, 1]; None where no rollout came to a verdict."""
        return self.passes / self.trials if self.trials else None


def priority(config: TreeConfig, value: float, words: int, visits: int, all_visits: int) -> float:
    """Q + U of a rollout in the pool.

    Q = alpha^(1 - MC(s)) * beta^(words(r) / L) and U = c_puct * sqrt(sum of N) / (1 + N(s)).

    Args:
      value: MC(s) of the state that the rollout starts from.
      words: of the thoughts behind that state.
      visits: N(s).
      all_visits: the sum of N over all states.
    """
    q = config.alpha ** (1 - value) * config.beta ** (words / config.length)
    return q + config.c_puct * math.sqrt(all_visits) / (1 + visits)


@dataclass
class Pool:
    """Wrong rollouts that wait to be searched, each list of thoughts once."""

    config: TreeConfig
    _waiting: list[tuple[State, Trace]] = field(default_factory=list)
    _known: set[tuple[str, ...]] = field(default_factory=set)
    _visits: int = 0

    def add(self, state: State, rollout: Trace) -> None:
        """Adds a wrong rollout of a state, if it has thoughts of its own and was never here."""
        if rollout.thoughts not in self._known and len(rollout.thoughts) > len(state.thoughts):
            self._known.add(rollout.thoughts)
            self._waiting.append((state, rollout))

    def pop(self) -> tuple[State, Trace] | None:
        """Takes out the rollout of highest priority (of equals the first), which visits its state.

        None where the pool is empty.
        """
        if not self._waiting:
            return None
        # max keeps the first of equal ones.
        place = max(range(len(self._waiting)), key=self._priority)
        state, rollout = self._waiting.pop(place)
        state.visits += 1
        self._visits += 1
        return state, rollout

    def _priority(self, place: int) -> float:
        state, rollout = self._waiting[place]
        words = sum(len(t.split()) for t in rollout.thoughts[len(state.thoughts) :])
        return priority(self.config, state.value or 0.0, words, state.visits, self._visits)


async def first_wrong(
    good: int, wrong: int, value: Callable[[int], Awaitable[float | None]]
) -> int | None:
    """The index of the first wrong thought, by binary search.

    Args:
      good: length of a prefix that can still be completed.
      wrong: length of a longer one that cannot.
      value: MC of the prefix of a length between the two; None where it is unknown, and then so is
        the answer.
    """
    while wrong - good > 1:
        middle = (good + wrong) // 2
        found = await value(middle)
        if found is None:
            return None
        if found > 0:
            good = middle
        else:  # the error is in the prefix: at its last thought, or before
            wrong = middle
    return wrong - 1


async def tree(rollouts: Rollouts, config: TreeConfig) -> None:
    """Searches until `searches` are done or the pool is empty; every state is estimated once.

    The provenance of a trace says which estimate it belongs to (0: the root's), within which search
    that was made, and, of a rollout that was searched, the index of its first wrong thought as
    "located". Raises BudgetSpentError if the budget ends it.
    """
    pool = Pool(config)
    states: dict[tuple[str, ...], State] = {}

    async def estimate(start: Start, search: int | None) -> State:
        if start.thoughts in states:
            return states[start.thoughts]
        root = not start.thoughts
        count = config.root_rollouts if root else config.rollouts
        thoughts = config.root_thoughts if root else config.new_thoughts
        drawn = await rollouts.draw([start] * count, thoughts, estimate=len(states), search=search)
        judged = [t for t in drawn if t.outcome is not None]
        passes = sum(t.solved for t in judged)
        state = State(start.thoughts, passes, len(judged))
        states[start.thoughts] = state
        if root or 0 < passes < len(judged):
            for trace in judged:
                if not trace.solved:
                    pool.add(state, trace)
        return state

    await estimate(Start(), None)
    for number in range(config.searches):
        candidate = pool.pop()
        if candidate is None:
            return
        state, rollout = candidate

        async def value(
            length: int, rollout: Trace = rollout, number: int = number
        ) -> float | None:
            start = Start(rollout.thoughts[:length], (rollout.id, length))
            return (await estimate(start, number)).value

        located = await first_wrong(len(state.thoughts), len(rollout.thoughts), value)
        rollouts.annotate(rollout, located=located)
