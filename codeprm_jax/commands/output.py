"""What commands write for people: text on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


def say(text: str) -> None:
    """Writes a line to stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns of text: the first aligned left, the others right."""
    cells = [[str(c) for c in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


@contextmanager
def progress_bar(total: int | None, unit: str, what: str) -> Iterator[tqdm]:
    """A bar on stderr where that is a terminal."""
    with tqdm(total=total, unit=unit, desc=what, disable=None, leave=False) as bar:
        yield bar
