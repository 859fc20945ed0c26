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


def plan_packing(
    lengths: Sequence[int], row_tokens: int, groups: Sequence[str] | None = None
) -> PackingPlan:
    """Best-fit decreasing: each example goes where it leaves the least room; deterministic.

    Args:
      lengths: tokens of each example.
      groups: if given, examples of one group stand together: each group fills rows of its own as
        far as it goes, and rows with room left are then joined.

    Raises InputError if an example is longer than a row.
    """
    for index, length in enumerate(lengths):
        if length > row_tokens:
            raise InputError(f"example {index} has {length} tokens, a row {row_tokens}")
    if groups is None:
        rows = _best_fit(lengths, row_tokens)
        return PackingPlan(row_tokens, tuple(map(tuple, rows)), tuple(lengths))
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    parts: list[list[int]] = []
    for indices in members.values():
        fitted = _best_fit([lengths[i] for i in indices], row_tokens)
        parts += [[indices[i] for i in row] for row in fitted]
    joined = _best_fit([sum(lengths[i] for i in part) for part in parts], row_tokens)
    rows = [[i for part in row for i in parts[part]] for row in joined]
    return PackingPlan(row_tokens, tuple(map(tuple, rows)), tuple(lengths))


def _best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Rows of indices; no length is larger than `room`."""
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (tokens left, row), sorted
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect.bisect_left(free, (lengths[index], -1))
        if at < len(free):
            left, row = free.pop(at)
        else:
            left, row = room, len(rows)
            rows.append([])
        rows[row].append(index)
        bisect.insort(free, (left - lengths[index], row))
    return rows


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
