"""Traces as paths of a tree of pieces, and what is remembered of it: the host's side of reuse.

A piece is what traces share or do not share as a whole: the problem, a thought, and at last what
belongs to one trace alone. Two traces that begin with the same pieces share the nodes of these.
A node remembers the scores of the step tags in it, which depend on nothing but the tokens up to
them (the memo), and the places of its keys and values in the device's cache.

Both are bounded, and the least recently used goes first. Whoever touches a node touches its
ancestors after it, so a node is never older than its descendants: what is dropped first is always a
leaf, and a cached node's ancestors are cached.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codeprm_jax.data.layout import Example

_NODE_BYTES = 800  # of a node beside its tokens, which it holds twice


class Node:
    """One piece behind the pieces above it.

    Attributes:
      parent: the piece before; None for the root of all.
      key: its tokens and tags as bytes, its name among its siblings.
      tokens: int32[length].
      start: position of its first token in the trace.
      tags: positions of step tags, from the start of the piece.
      shared: whether other traces may have it; else its keys and values are not worth keeping.
      serial: ascending in the order of creation.
      children: by their keys.
      scores: float32[tags] once they are known.
      slots: int32[length], its tokens' places in the cache; None where it is not cached.
      row: the last row that it was planned for.
    """

    __slots__ = (
        "children",
        "key",
        "parent",
        "row",
        "scores",
        "serial",
        "shared",
        "slots",
        "start",
        "tags",
        "tokens",
    )

    def __init__(
        self,
        parent: Node | None,
        key: bytes,
        tokens: np.ndarray,
        start: int,
        tags: np.ndarray,
        shared: bool,
        serial: int,
    ) -> None:
        self.parent, self.key, self.tokens, self.start = parent, key, tokens, start
        self.tags, self.shared, self.serial = tags, shared, serial
        self.children: dict[bytes, Node] = {}
        self.scores: np.ndarray | None = None
        self.slots: np.ndarray | None = None
        self.row = 0

    @property
    def scored(self) -> bool:
        """Whether nothing in it is left to score."""
        return self.scores is not None or not len(self.tags)

    @property
    def bytes(self) -> int:
        """About what it takes in the host's memory."""
        return _NODE_BYTES + 2 * self.tokens.nbytes


Path = list[Node]  # from the problem to the end of a trace


@dataclass
class Row:
    """What one forward pass computes for one shard of the batch.

    Attributes:
      number: of the row.
      paths: how many of the pending paths it completes.
      computed: its nodes in depth-first order, with the row's place of each.
      tokens, positions, until, write: int32[tokens]; see `decoder.score_tree`. `write` says where
        in the cache a token's keys and values go, -1 for nowhere.
      tags: int32[tags], ascending: places of the tags of nodes that are not scored yet.
      context, context_first, context_until, context_positions: int32[cached tokens]: places in the
        cache of what the row's tokens see, and by which of them.
    """

    number: int
    paths: int
    computed: list[tuple[Node, int]]
    tokens: np.ndarray
    positions: np.ndarray
    until: np.ndarray
    write: np.ndarray
    tags: np.ndarray
    context: np.ndarray
    context_first: np.ndarray
    context_until: np.ndarray
    context_positions: np.ndarray


class PrefixTree:
    """The tree of one shard of the batch, its memo and the book of its cache.

    Args:
      slots: tokens that the cache holds. Slot 0 is never given out.
      memo_bytes: of the host's memory for nodes, about.
    """

    def __init__(self, slots: int, memo_bytes: int) -> None:
        self._memo_bytes = memo_bytes
        self._free = np.arange(slots - 1, 0, -1, dtype=np.int32)  # a stack: the last goes first
        self._free_count = max(0, slots - 1)
        self._root = self._new_root()
        self._cached: OrderedDict[Node, None] = OrderedDict()  # the least recently used first
        self._nodes: OrderedDict[Node, None] = OrderedDict()
        self._bytes = self._serial = self._row = 0

    @property
    def cached_tokens(self) -> int:
        """Tokens whose keys and values are in the cache."""
        return max(0, len(self._free) - self._free_count)

    @property
    def bytes(self) -> int:
        """About what the nodes take in the host's memory."""
        return self._bytes

    def knows(self, example: Example) -> bool:
        """Whether some trace of the same problem is remembered."""
        end = (*example.cuts, example.length)[0]
        return _key(example, 0, end)[0] in self._root.children

    def add(self, example: Example) -> Path:
        """The path of a trace; its new nodes join the tree."""
        path, node, begin = [], self._root, 0
        ends = example.cuts
        if not ends or ends[-1] < example.length:
            ends = (*ends, example.length)
        for end in ends:
            key, tags = _key(example, begin, end)
            child = node.children.get(key)
            if child is None:
                self._serial += 1
                tokens, shared = example.tokens[begin:end], end in example.cuts
                child = Node(node, key, tokens, begin, tags, shared, self._serial)
                node.children[key] = child
                self._bytes += child.bytes
            path.append(child)
            node, begin = child, end
        for node in reversed(path):
            self._nodes[node] = None
            self._nodes.move_to_end(node)
        return path

    def plan(self, pending: Sequence[Path], most_tokens: int, most_context: int) -> Row:
        """A row for the first of `pending`, which is sorted by `order`.

        Args:
          most_tokens: of the row; at least the tokens of one path.
          most_context: cached tokens that the row sees; at least the tokens of one path.
        """
        self._row += 1
        new: list[Node] = []
        new_at: list[int] = []
        old: list[Node] = []
        first: dict[Node, int] = {}
        until: dict[Node, int] = {}
        open_nodes: list[Node] = []
        cursor = context = taken = 0
        for whole in pending:
            path = _unscored(whole)
            fresh = [n for n in path if n.row != self._row]
            length = sum(len(n.tokens) for n in fresh if n.slots is None)
            reused = sum(len(n.tokens) for n in fresh) - length
            full = cursor + length > most_tokens or context + reused > most_context
            if fresh and full:
                break
            taken += 1
            if not fresh:
                continue
            for node in path:
                node.row = self._row
            self._touch(path)
            kept = len(path) - len(fresh)
            while len(open_nodes) > kept:
                until[open_nodes.pop()] = cursor
            for node in fresh:
                open_nodes.append(node)
                if node.slots is not None:
                    old.append(node)
                    first[node] = cursor
                    context += len(node.tokens)
                    continue
                new.append(node)
                new_at.append(cursor)
                cursor += len(node.tokens)
            self._allocate([n for n in fresh if n.slots is None])
            self._touch(path)
        while open_nodes:
            until[open_nodes.pop()] = cursor
        return Row(
            self._row,
            taken,
            list(zip(new, new_at, strict=True)),
            _joined([n.tokens for n in new]),
            _joined([np.arange(n.start, n.start + len(n.tokens), dtype=np.int32) for n in new]),
            _spread([until[n] for n in new], new),
            _joined([np.full(len(n.tokens), -1) if n.slots is None else n.slots for n in new]),
            _joined([at + n.tags for n, at in zip(new, new_at, strict=True) if n.scores is None]),
            _joined([n.slots for n in old]),
            _spread([first[n] for n in old], old),
            _spread([until[n] for n in old], old),
            _joined([np.arange(n.start, n.start + len(n.tokens), dtype=np.int32) for n in old]),
        )

    def remember(self, row: Row, scores: np.ndarray) -> None:
        """Notes float32[tags], the scores of a row's tags."""
        begin = 0
        for node, _ in row.computed:
            if node.scores is None:
                node.scores = scores[begin : begin + len(node.tags)].copy()
                begin += len(node.tags)

    def forget(self, row: Row) -> None:
        """Drops from the cache what a row has put there."""
        for node, _ in reversed(row.computed):
            self._release(node)

    def trim(self) -> None:
        """Drops the least recently used nodes that are too many for the memo."""
        while self._bytes > self._memo_bytes and self._nodes:
            node, _ = self._nodes.popitem(last=False)
            self._release(node)
            if node.parent is not None:
                del node.parent.children[node.key]
            self._bytes -= node.bytes

    def _allocate(self, nodes: Sequence[Node]) -> None:
        """Gives slots to nodes of one path, parents first, as far as there are any."""
        for node in nodes:
            if not node.shared:
                return
            while self._free_count < len(node.tokens) and self._cached:
                oldest = next(iter(self._cached))
                if oldest.row == self._row:
                    return  # only what this row needs is left
                self._release(oldest)
            if self._free_count < len(node.tokens):
                return
            self._free_count -= len(node.tokens)
            node.slots = self._free[self._free_count : self._free_count + len(node.tokens)].copy()
            self._cached[node] = None

    def _release(self, node: Node) -> None:
        if node.slots is None:
            return
        self._free[self._free_count : self._free_count + len(node.slots)] = node.slots
        self._free_count += len(node.slots)
        node.slots = None
        del self._cached[node]

    def _touch(self, path: Path) -> None:
        for node in reversed(path):
            if node.slots is not None:
                self._cached.move_to_end(node)

    @staticmethod
    def _new_root() -> Node:
        nothing = np.zeros(0, np.int32)
        return Node(None, b"", nothing, 0, nothing, False, 0)


def order(path: Path) -> list[int]:
    """A sorting key that puts paths in depth-first order: those that share nodes stand together."""
    return [node.serial for node in path]


def scores_of(path: Path) -> np.ndarray:
    """float32[steps]: the scores along a path whose nodes are all scored."""
    return _joined([n.scores for n in path if n.scores is not None], np.float32)


def _key(example: Example, begin: int, end: int) -> tuple[bytes, np.ndarray]:
    """The name of a piece among its siblings, and its tags."""
    tags = example.tag_positions
    tags = tags[(tags >= begin) & (tags < end)] - begin
    return example.tokens[begin:end].tobytes() + b"|" + tags.tobytes(), tags


def _unscored(path: Path) -> Path:
    """The path up to its last node with tags that are not scored yet."""
    count = len(path)
    while count and path[count - 1].scored:
        count -= 1
    return path[:count]


def _joined(parts: Sequence[np.ndarray | None], dtype: type = np.int32) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)


def _spread(values: Sequence[int], nodes: Sequence[Node]) -> np.ndarray:
    """One value a token."""
    lengths = [len(n.tokens) for n in nodes]
    return np.repeat(np.array(values, np.int32), np.array(lengths, np.int64))
