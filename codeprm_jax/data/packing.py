"""Packing as a plan: which examples share a row, decided once from their lengths."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codeprm_jax.data.layout import Example
from codeprm_jax.files import InputError


@dataclass(frozen=True)
class PackingPlan:
    """Rows of example indices.

    Attributes:
      row_tokens: length of every row.
      rows: for each row, the indices of its examples in the order in which they stand.
      lengths: tokens of each example, by index.
    """

    row_tokens: int
    rows: tuple[tuple[int, ...], ...]
    lengths: tuple[int, ...]

    @property
    def utilisation(self) -> float:
        """Share of the rows' tokens that are no padding."""
        used = sum(self.lengths[i] for row in self.rows for i in row)
        return used / max(1, len(self.rows) * self.row_tokens)


def plan_packing(lengths: Sequence[int], row_tokens: int) -> PackingPlan:
    """Best-fit decreasing: each example goes where it leaves the least room; deterministic.

    Raises InputError if an example is longer than a row.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (tokens left, row), sorted
    for index in order:
        length = lengths[index]
        if length > row_tokens:
            raise InputError(f"example {index} has {length} tokens, a row {row_tokens}")
        at = bisect.bisect_left(free, (length, -1))
        if at < len(free):
            left, row = free.pop(at)
        else:
            left, row = row_tokens, len(rows)
            rows.append([])
        rows[row].append(index)
        bisect.insort(free, (left - length, row))
    return PackingPlan(row_tokens, tuple(tuple(r) for r in rows), tuple(lengths))


def pack_row(
    examples: Sequence[Example],
    row_tokens: int,
    targets: Sequence[np.ndarray] | None = None,
    weights: Sequence[np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """One row.

    Args:
      targets, weights: float32[steps] for each example; default zero and one.

    Returns:
      tokens, segment_ids, positions int32[row_tokens]; targets, weights float32[row_tokens], zero
      except at step tags. Segment 0 is padding.
    """
    row = {
        name: np.zeros(row_tokens, np.int32) for name in ("tokens", "segment_ids", "positions")
    } | {name: np.zeros(row_tokens, np.float32) for name in ("targets", "weights")}
    start = 0
    for number, example in enumerate(examples):
        span = slice(start, start + example.length)
        row["tokens"][span] = example.tokens
        row["segment_ids"][span] = number + 1
        row["positions"][span] = np.arange(example.length)
        tags = start + example.tag_positions
        row["targets"][tags] = targets[number] if targets is not None else 0.0
        row["weights"][tags] = weights[number] if weights is not None else 1.0
        start += example.length
    return row


def unpack_row(values: np.ndarray, examples: Sequence[Example]) -> list[np.ndarray]:
    """The values at each example's step tags: the inverse of `pack_row` for one row's examples."""
    start, steps = 0, []
    for example in examples:
        steps.append(values[start + example.tag_positions])
        start += example.length
    return steps
