"""Whatever is shared, cached, dropped or packed, a token sees exactly the tokens before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.data.layout import Example
from codeprm_jax.scoring.prefix_tree import PrefixTree, Row, order, scores_of

LIMIT = 24  # tokens of the longest trace that is drawn


@st.composite
def traces(draw: st.DrawFn) -> Example:
    """A problem, thoughts with a tag each, and sometimes a part of its own with more tags."""
    piece = st.lists(st.integers(0, 2), min_size=1, max_size=4)
    pieces = draw(st.lists(piece, min_size=1, max_size=4))
    own = draw(st.lists(st.integers(0, 2), max_size=8))
    ends = np.cumsum([len(p) for p in pieces])
    tokens = np.array([t for p in [*pieces, own] for t in p], np.int32)
    if own:
        return Example(tokens, np.array([len(tokens) - 1]), tuple(map(int, ends)))
    return Example(tokens, ends[1:] - 1, tuple(map(int, ends)))


class Machine:
    """Runs rows as the device would, with the tokens seen in place of the score."""

    def __init__(self, slots: int, memo_bytes: int = 1 << 20) -> None:
        self.tree = PrefixTree(slots, memo_bytes)
        # What a slot holds: a token, and its position.
        self.cache = np.full((slots, 2), -9)
        self.computed = 0

    def score(self, examples: list[Example], most_tokens: int) -> list[list[tuple[int, ...]]]:
        paths = [self.tree.add(e) for e in examples]
        pending = sorted((p for p in paths if not all(n.scored for n in p)), key=order)
        while pending:
            row = self.tree.plan(pending, most_tokens, LIMIT)
            assert row.paths > 0 and len(row.tokens) <= most_tokens and len(row.context) <= LIMIT
            self.run(row)
            pending = pending[row.paths :]
        for path, example in zip(paths, examples, strict=True):
            assert len(scores_of_nodes(path)) == len(example.tag_positions)
        found = [scores_of_nodes(p) for p in paths]
        self.tree.trim()
        return found

    def run(self, row: Row) -> None:
        self.computed += len(row.tokens)
        context = self.cache[row.context]
        assert (context[:, 1] == row.context_positions).all()
        at = np.arange(len(row.tokens))
        seen = []
        for i in at:
            cached = context[(row.context_first <= i) & (i < row.context_until)]
            own = np.stack([row.tokens, row.positions], 1)[(at <= i) & (i < row.until)]
            both = np.concatenate([cached, own])
            both = both[np.argsort(both[:, 1], kind="stable")]
            assert (both[:, 1] == np.arange(row.positions[i] + 1)).all()
            seen.append(tuple(map(int, both[:, 0])))
        kept = row.write >= 0
        assert (row.write[kept] > 0).all()
        self.cache[row.write[kept]] = np.stack([row.tokens, row.positions], 1)[kept]
        scores = np.empty(len(row.tags), object)
        for number, tag in enumerate(row.tags):
            scores[number] = seen[tag]
        self.tree.remember(row, scores)


def scores_of_nodes(path: list) -> list[tuple[int, ...]]:
    return [s for node in path if node.scores is not None for s in node.scores]


def prefixes(example: Example) -> list[tuple[int, ...]]:
    return [tuple(map(int, example.tokens[: tag + 1])) for tag in example.tag_positions]


@given(
    calls=st.lists(st.lists(traces(), max_size=8), max_size=6),
    slots=st.sampled_from([1, 2, 6, 15, 40, 400]),
    most_tokens=st.sampled_from([LIMIT, 40, 200]),
    memo_bytes=st.sampled_from([0, 3000, 1 << 20]),
)
@settings(max_examples=300, deadline=None)
def test_a_token_sees_its_trace_and_nothing_else(
    calls: list[list[Example]], slots: int, most_tokens: int, memo_bytes: int
) -> None:
    machine = Machine(slots, memo_bytes)
    for examples in calls:
        found = machine.score(examples, most_tokens)
        assert found == [prefixes(e) for e in examples]
        assert machine.tree.cached_tokens < slots and machine.tree.bytes <= memo_bytes


def trace(*pieces: list[int], own: list[int] | None = None) -> Example:
    ends = np.cumsum([len(p) for p in pieces])
    tokens = np.array([t for p in [*pieces, own or []] for t in p], np.int32)
    tags = np.array([len(tokens) - 1]) if own else ends[1:] - 1
    return Example(tokens, tags, tuple(map(int, ends)))


def test_what_is_shared_is_computed_once() -> None:
    machine = Machine(slots=100)
    problem, first = [1, 2, 3], [4, 5]
    machine.score([trace(problem, first, [6]), trace(problem, first, [7, 7])], 50)
    assert machine.computed == 3 + 2 + 1 + 2
    machine.score([trace(problem, first, [6]), trace(problem, first, [8])], 50)
    assert machine.computed == 8 + 1  # the first is remembered, the other's beginning cached
    machine.score([trace(problem, own=[9, 9])], 50)
    assert machine.computed == 9 + 2
    assert machine.tree.cached_tokens == 9  # what belongs to one trace is not cached


def test_the_least_recently_used_gives_way() -> None:
    machine = Machine(slots=1 + 6)
    one, two, three = ([n, n] for n in (1, 2, 3))
    for problem in (one, two, three, one):
        machine.score([trace(problem, own=[0, problem[0]])], 50)
    assert machine.computed == 3 * 4 + 0  # the fourth is remembered
    machine.score([trace(one, own=[5])], 50)
    machine.score([trace([4, 4], own=[5])], 50)
    computed = machine.computed
    machine.score([trace(one, own=[6])], 50)
    assert machine.computed == computed + 1  # still cached
    machine.score([trace(two, own=[6])], 50)
    assert machine.computed == computed + 1 + 3  # gone


def test_a_problem_larger_than_the_cache_is_not_cached_and_evicts_nothing_it_needs() -> None:
    machine = Machine(slots=4)
    problem = [1, 2, 3, 1, 2]
    for n in range(3):
        assert machine.score([trace(problem, [n])], 50) == [[(1, 2, 3, 1, 2, n)]]
    assert machine.tree.cached_tokens == 0


def test_the_same_tokens_with_other_tags_are_another_piece() -> None:
    machine = Machine(slots=100)
    tokens = np.array([1, 2, 3, 4], np.int32)
    for tags in ([3], [1, 3], [2]):
        example = Example(tokens, np.array(tags), (1,))
        assert machine.score([example], 50) == [prefixes(example)]


def test_an_example_without_cuts_is_one_piece() -> None:
    machine = Machine(slots=100)
    example = Example(np.arange(5, dtype=np.int32), np.array([1, 4]))
    assert machine.score([example, example], 50) == [prefixes(example)] * 2
    assert machine.computed == 5 and machine.tree.cached_tokens == 0


def test_scores_come_in_the_order_of_the_steps() -> None:
    tree = PrefixTree(10, 1 << 20)
    path = tree.add(trace([1], [2], [3, 3]))
    for number, node in enumerate(path[1:]):
        node.scores = np.array([number / 2], np.float32)
    assert scores_of(path) == pytest.approx([0.0, 0.5]) and scores_of(path).dtype == np.float32
