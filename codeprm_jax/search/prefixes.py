"""Growing a tree of thoughts: the next thoughts of a prefix, and what they are worth.

Prefixes are valued before any program is written from them, by the PRM's view of thoughts alone or
by the policy's own opinion (Yao et al. 2023, Tree of Thoughts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from codeprm_jax.data.layout import StepInput
from codeprm_jax.policies.policy import ProposeRequest, ValueRequest
from codeprm_jax.scoring.aggregate import Aggregate, aggregate
from codeprm_jax.search.search import Node, Search

Evaluate = Literal["prm", "judged"]

UNKNOWN = 0.5  # the value of a prefix of which nothing can be said
MAX_DEPTH = 16  # thoughts of a prefix


@dataclass(frozen=True)
class Prefix:
    """A path from the root of a search tree.

    Attributes:
      thoughts: on the path.
      nodes: their indices in `Search.tree`.
      complete: whether a program can be written from it.
      value: in [0, 1], if somebody said.
    """

    thoughts: tuple[str, ...] = ()
    nodes: tuple[int, ...] = ()
    complete: bool = False
    value: float | None = None

    @property
    def node(self) -> int | None:
        """The last one's index; None at the root."""
        return self.nodes[-1] if self.nodes else None


async def expand(
    search: Search, parents: Sequence[Prefix], branching: int, *label: object
) -> list[list[Prefix]]:
    """For each parent, its distinct next thoughts out of `branching` draws, as new nodes.

    A draw that fails gives no child. Where a draw says that no further thought is needed, the
    parent itself, now complete, stands among its children. `label` tells these draws from others of
    the search.
    """
    requests = [
        ProposeRequest(
            search.problem,
            parent.thoughts,
            search.seed_of("expand", *label, place, draw),
            thoughts=1,
        )
        for place, parent in enumerate(parents)
        for draw in range(branching)
    ]
    answers = await search.ask(*requests)
    children: list[list[Prefix]] = []
    for place, parent in enumerate(parents):
        found: dict[str | None, Prefix] = {}
        for answer in answers[place * branching : (place + 1) * branching]:
            if answer.failure is not None:
                continue
            if not answer.thoughts and answer.complete and parent.nodes:
                found.setdefault(None, replace(parent, complete=True))
            for thought in answer.thoughts[:1]:
                if thought not in found:
                    complete = answer.complete or len(parent.thoughts) + 1 >= MAX_DEPTH
                    found[thought] = grow(search, parent, thought, complete)
        children.append(list(found.values()))
    return children


def grow(search: Search, parent: Prefix, thought: str, complete: bool) -> Prefix:
    """A new node of the search tree, below a path."""
    search.tree.append(Node(parent.node, thought))
    nodes = (*parent.nodes, len(search.tree) - 1)
    return Prefix((*parent.thoughts, thought), nodes, complete)


async def evaluate(
    search: Search, prefixes: Sequence[Prefix], how: Evaluate, by: Aggregate
) -> list[Prefix]:
    """The prefixes with their values, which are noted in the tree too.

    One that has a value keeps it.

    Args:
      by: how the PRM's scores of the thoughts of a prefix become one.
    """
    unknown = [p for p in prefixes if p.value is None]
    if how == "prm":
        inputs = [StepInput(search.problem.statement, p.thoughts) for p in unknown]
        scored = await search.score(inputs, "thoughts") if inputs else []
        found = [UNKNOWN if s is None else aggregate(s, by) for s in scored]
    else:
        requests = [
            ValueRequest(search.problem, p.thoughts, search.seed_of("value", *p.thoughts))
            for p in unknown
        ]
        answers = await search.ask(*requests) if requests else []
        found = [UNKNOWN if a.value is None else a.value for a in answers]
    values = iter(found)
    valued = []
    for prefix in prefixes:
        value = next(values) if prefix.value is None else prefix.value
        search.tree[prefix.nodes[-1]].value = value
        valued.append(replace(prefix, value=value))
    return valued
