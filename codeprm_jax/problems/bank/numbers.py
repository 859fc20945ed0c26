"""Bank problems: numbers."""

from __future__ import annotations

from codeprm_jax.problems.bank.entry import BankEntry

ENTRIES: tuple[BankEntry, ...] = ()
