"""The embedded bank: problems, tests and step variants written for this project."""

from __future__ import annotations

from codeprm_jax.problems.bank import arrays, graphs, numbers, strings
from codeprm_jax.problems.bank.entry import BankEntry

__all__ = ["ENTRIES", "BankEntry"]

ENTRIES: tuple[BankEntry, ...] = (
    *arrays.ENTRIES,
    *graphs.ENTRIES,
    *numbers.ENTRIES,
    *strings.ENTRIES,
)
