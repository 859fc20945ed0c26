"""Scores with reuse: what traces share is computed once, and remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh

from codeprm_jax.data.layout import Example
from codeprm_jax.model import decoder
from codeprm_jax.model.config import ModelConfig
from codeprm_jax.scoring.prefix_tree import Path, PrefixTree, Row, order, scores_of
from codeprm_jax.scoring.statistics import ScoringStatistics
from codeprm_jax.scoring.tree_forward import TreeForward, slots_within
from codeprm_jax.sharding import batch_divisor

MEMO_BYTES = 128 << 20  # of the host's memory for pieces and scores
MOST_CACHED_TOKENS = 1 << 16  # of each shard, whatever the cache's bytes allow


class TreeScores:
    """One tree of traces a shard of the batch; a problem's traces go to one shard.

    Args:
      limit: tokens of the longest example.
      tokens_per_batch: of a full batch, in all shards together.
      cache_bytes: of each device's memory for keys and values.
    """

    def __init__(
        self,
        config: ModelConfig,
        params: decoder.Params,
        mesh: Mesh,
        limit: int,
        tokens_per_batch: int,
        cache_bytes: int,
        statistics: ScoringStatistics,
    ) -> None:
        # One trace fits a row, and what it sees of the cache fits the row's context.
        self._most_tokens = max(limit, tokens_per_batch // batch_divisor(mesh))
        slots = slots_within(config, mesh, cache_bytes, MOST_CACHED_TOKENS)
        self._most_context = self._most_tokens if slots > 1 else 0
        self._forward = TreeForward(
            config, params, mesh, self._most_tokens, self._most_context, slots, statistics
        )
        self._statistics = statistics
        self._trees = self._planted()

    @property
    def compiled(self) -> set[tuple[int, int]]:
        """(row length, context length) of the programs compiled so far."""
        return self._forward.compiled

    def warm_up(self) -> None:
        """Compiles every program."""
        self._forward.warm_up()

    def forget(self) -> None:
        """Empties cache and memo."""
        self._forward.reset()
        self._trees = self._planted()

    def __call__(self, examples: Sequence[Example]) -> list[np.ndarray]:
        """float32[steps] for each example; not finite where the model's are not."""
        paths: list[Path] = []
        pending: list[list[Path]] = [[] for _ in self._trees]
        for example, shard in zip(examples, self._shards(examples), strict=True):
            paths.append(self._trees[shard].add(example))
            if all(node.scored for node in paths[-1]):
                self._statistics.remembered_traces += 1
            else:
                pending[shard].append(paths[-1])
        try:
            poisoned = self._compute(pending)
        except BaseException:  # what was planned into the cache may not be there
            self.forget()
            raise
        bad = {id(path) for path in poisoned}
        results = [
            np.full(len(e.tag_positions), np.nan, np.float32) if id(p) in bad else scores_of(p)
            for e, p in zip(examples, paths, strict=True)
        ]
        for tree in self._trees:
            tree.trim()
        self._statistics.cached_tokens = sum(tree.cached_tokens for tree in self._trees)
        return results

    def _compute(self, pending: list[list[Path]]) -> list[Path]:
        """Scores all nodes of the pending paths; returns the paths whose scores are not finite."""
        for paths in pending:
            paths.sort(key=order)
        poisoned: list[Path] = []
        done = [0] * len(pending)
        while any(begin < len(paths) for begin, paths in zip(done, pending, strict=True)):
            rows: list[Row | None] = []
            planned: list[list[Path]] = []
            for shard, (tree, paths) in enumerate(zip(self._trees, pending, strict=True)):
                left = paths[done[shard] :]
                row = tree.plan(left, self._most_tokens, self._most_context)
                rows.append(row if len(row.tokens) else None)
                planned.append(left[: row.paths])
                done[shard] += row.paths
            for shard, bad in enumerate(self._run(rows)):
                if bad:
                    poisoned += self._alone(shard, planned[shard])
        return poisoned

    def _run(self, rows: Sequence[Row | None]) -> list[bool]:
        """Computes rows and remembers their scores; says of each whether one is not finite.

        Of such a row nothing is kept: where attention's weights are zero, what is not finite still
        reaches other traces.
        """
        if not any(rows):
            return [False] * len(rows)
        scores = self._forward(rows)
        bad = []
        for row, found, tree in zip(rows, scores, self._trees, strict=True):
            bad.append(not np.isfinite(found).all())
            if row is None:
                continue
            self._statistics.computed_tokens += len(row.tokens)
            self._statistics.reused_tokens += len(row.context)
            if bad[-1]:
                tree.forget(row)
            else:
                tree.remember(row, found)
        return bad

    def _alone(self, shard: int, paths: Sequence[Path]) -> list[Path]:
        """Computes paths one by one; returns those whose scores are not finite all the same."""
        poisoned = []
        for path in paths:
            rows: list[Row | None] = [None] * len(self._trees)
            rows[shard] = self._trees[shard].plan([path], self._most_tokens, self._most_context)
            if len(rows[shard].tokens) and self._run(rows)[shard]:  # type: ignore[union-attr]
                poisoned.append(path)
        return poisoned

    def _shards(self, examples: Sequence[Example]) -> list[int]:
        """A shard for each example: that of its problem, unless that has more than its share."""
        if len(self._trees) == 1:
            return [0] * len(examples)
        share = math.ceil(sum(e.length for e in examples) / len(self._trees))
        load = [0] * len(self._trees)
        homes: dict[bytes, int] = {}
        chosen = []
        for example in examples:
            problem = example.tokens[: (*example.cuts, example.length)[0]].tobytes()
            home = homes.get(problem)
            if home is None:
                known = [i for i, tree in enumerate(self._trees) if tree.knows(example)]
                home = min(known or range(len(load)), key=load.__getitem__)
            if load[home] >= share:
                home = min(range(len(load)), key=load.__getitem__)
            homes[problem] = home
            load[home] += example.length
            chosen.append(home)
        return chosen

    def _planted(self) -> list[PrefixTree]:
        share = MEMO_BYTES // self._forward.shards
        return [PrefixTree(self._forward.slots, share) for _ in range(self._forward.shards)]
