"""Monte-Carlo tree search over thoughts (METHOD, GVR: MCTS), with verify–refine inside.

A node's value is the best return of a rollout through it. Selection is the variable P-UCB of
Silver et al. 2018 as Zhang et al. 2023 (PG-TD) use it for code:

    best(child) + β(parent) · prior(child) · √(ln visits(parent)) / (1 + visits(child)),
    β(s) = ln((visits(s) + base + 1) / base) + constant.

The return of a program is its public pass rate if it fails, else 1 + the value of its trace.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codeprm_jax.policies.policy import ProposeRequest, Thoughts, ValueRequest
from codeprm_jax.scoring.aggregate import Aggregate, aggregate
from codeprm_jax.search.prefixes import UNKNOWN, Evaluate, Prefix, evaluate, expand, grow
from codeprm_jax.search.refine import Refinement, rewrite
from codeprm_jax.search.search import Attempt, Search, SearchEndedError


@dataclass(frozen=True)
class MctsConfig:
    """Shape of the search; the defaults are the release's.

    Attributes:
      width: draws for the children of a node.
      rollouts: at most.
      base, constant: of P-UCB.
      evaluate: who gives the priors and the value of a passing trace; None: equal, and 0.
      aggregate: of the PRM's scores of a trace.
    """

    width: int = 3
    rollouts: int = 16
    base: float = 10.0
    constant: float = 4.0
    evaluate: Evaluate | None = "prm"
    aggregate: Aggregate = "last"


async def mcts(search: Search, config: MctsConfig, refinement: Refinement | None = None) -> None:
    """Rolls out until the search ends, or as often as allowed."""
    await _Tree(search, config, refinement).run()


@dataclass
class _Children:
    """Below a path: the children that can be chosen, their priors, and how often it was passed."""

    paths: list[Prefix]
    priors: list[float]


class _Tree:
    def __init__(self, search: Search, config: MctsConfig, refinement: Refinement | None) -> None:
        self.search, self.config, self.refinement = search, config, refinement
        self.children: dict[int | None, _Children] = {}
        self.visits_of_root = 0

    async def run(self) -> None:
        for number in range(self.config.rollouts):
            path = await self._select(number)
            seed = self.search.seed_of("rollout", number)
            rest = Thoughts(0)
            if not path.complete:
                (rest,) = await self.search.ask(
                    ProposeRequest(self.search.problem, path.thoughts, seed)
                )
            with self._solving(path):
                attempt = await self.search.attempt(
                    rest, path.thoughts, seed, number, node=path.node
                )
            if attempt is None:
                self._back_up(path, 0.0)
                continue
            self._back_up(path, await self._value(attempt))
            if self.refinement is not None and not attempt.feedback.all_passed:
                await self._refine(path, attempt, self.refinement)

    async def _select(self, number: int) -> Prefix:
        """Down to a node without a visit, or one that ends; nodes on the way get children."""
        path = Prefix()
        while not path.complete:
            if path.node not in self.children:
                await self._expand(path, number)
            below = self.children[path.node]
            if not below.paths:
                return path
            path = below.paths[self._choose(path, below)]
            if not self.search.tree[path.nodes[-1]].visits:
                return path
        return path

    async def _expand(self, path: Prefix, number: int) -> None:
        (drawn,) = await expand(self.search, [path], self.config.width, "mcts", number, path.node)
        # A path that needs no further thought is no child of its own: where it has no other, the
        # rollout from it writes its program.
        found = [p for p in drawn if p.node != path.node]
        if found and self.config.evaluate is not None:
            found = await evaluate(self.search, found, self.config.evaluate, self.config.aggregate)
        self.children[path.node] = _Children(found, _shares([p.value for p in found]))

    def _choose(self, path: Prefix, below: _Children) -> int:
        visits = self.visits_of_root
        if path.node is not None:
            visits = self.search.tree[path.node].visits
        bonus = math.log((visits + self.config.base + 1) / self.config.base) + self.config.constant
        explore = bonus * math.sqrt(math.log(max(visits, 1)))

        def merit(index: int) -> float:
            node = self.search.tree[below.paths[index].nodes[-1]]
            return (node.best or 0.0) + explore * below.priors[index] / (1 + node.visits)

        # Of equal ones the likelier, then the first: before any visit nothing else tells them apart
        return max(range(len(below.paths)), key=lambda i: (merit(i), below.priors[i], -i))

    async def _refine(self, path: Prefix, attempt: Attempt, how: Refinement) -> None:
        """Rewrites a failed rollout; a thought of the tree that is rewritten is replaced there.

        What was derived from the old thought stands on it no more: the new node starts without
        children, and the old one can no longer be chosen.
        """
        for _ in range(how.max_think_times):
            with self._solving(path):
                after = await rewrite(self.search, attempt, how)
            if after is None:
                return
            path = self._replace(path, after)
            self._back_up(path, await self._value(after))
            attempt = after

    @contextlib.contextmanager
    def _solving(self, path: Prefix) -> Iterator[None]:
        """Enters the attempt that ends the search into the tree, as it does with all others."""
        try:
            yield
        except SearchEndedError:
            if self.search.ended == "solved":
                solution = self.search.attempts[-1]
                if solution.parent is not None:
                    path = self._replace(path, solution)
                self._back_up(path, 1.0)
            raise

    def _replace(self, path: Prefix, attempt: Attempt) -> Prefix:
        """The path on which a rewritten attempt lies, and its place in the tree."""
        path = self._replaced(path, attempt)
        attempt.node = path.node
        return path

    def _replaced(self, path: Prefix, attempt: Attempt) -> Prefix:
        changed = next(
            (i for i, t in enumerate(path.thoughts) if attempt.thoughts[i : i + 1] != (t,)), None
        )
        if changed is None:
            return path
        if changed >= len(attempt.thoughts):  # the new suffix is shorter than the path
            return Prefix(path.thoughts[:changed], path.nodes[:changed])
        parent = Prefix(path.thoughts[:changed], path.nodes[:changed])
        thought = attempt.thoughts[changed]
        last = changed + 1 == len(attempt.thoughts)
        siblings = self.children[parent.node]
        place = [p.nodes[-1] for p in siblings.paths].index(path.nodes[changed])
        self.search.tree[path.nodes[changed]].replaced = True
        same = [i for i, p in enumerate(siblings.paths) if p.thoughts[-1] == thought]
        if same:  # rewritten into what stands beside it
            del siblings.paths[place], siblings.priors[place]
            siblings.priors = _shares(siblings.priors)
            return next(p for p in siblings.paths if p.thoughts[-1] == thought)
        siblings.paths[place] = grow(self.search, parent, thought, last)
        return siblings.paths[place]

    def _back_up(self, path: Prefix, value: float) -> None:
        self.visits_of_root += 1
        for index in path.nodes:
            node = self.search.tree[index]
            node.visits += 1
            node.best = value if node.best is None else max(node.best, value)

    async def _value(self, attempt: Attempt) -> float:
        if not attempt.feedback.all_passed:
            return attempt.feedback.pass_rate
        match self.config.evaluate:
            case None:
                return 1.0
            case "prm":
                scores = await self.search.score_attempt(attempt)
                return 1.0 + (aggregate(scores, self.config.aggregate) if scores else UNKNOWN)
            case _:
                seed = self.search.seed_of("value", *attempt.thoughts)
                request = ValueRequest(self.search.problem, attempt.thoughts, seed)
                (answer,) = await self.search.ask(request)
                return 1.0 + (UNKNOWN if answer.value is None else answer.value)


def _shares(values: Sequence[float | None]) -> list[float]:
    """Priors that sum to 1, in proportion to the values; equal where nothing is known."""
    if not values:
        return []
    known = [v if v is not None else 1.0 for v in values]
    total = sum(known)
    if total <= 0:
        return [1.0 / len(known)] * len(known)
    return [v / total for v in known]
