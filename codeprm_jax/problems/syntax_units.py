"""A function's body as a flat list of units, cut into steps.

A unit is one simple statement, or the header of a compound one: `for x in xs:`, `else:`. Units
have a depth, so that any run of consecutive units is a fragment of source, and the fragments of
all runs, one after the other, are the body again.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal[
    "simple", "if", "elif", "else", "for", "while", "try", "except", "finally", "with", "def",
    "class",
]  # fmt: skip

CONTINUATIONS = ("elif", "else", "except", "finally")


@dataclass(frozen=True)
class Unit:
    """A simple statement or the header of a compound one.

    Attributes:
      depth: levels of indentation.
      role: what it is; "simple" for all that has no header of its own here.
      node: the statement; for a header the statement with an empty body, for "else" and "finally"
        the statement that they belong to.
    """

    depth: int
    role: Role
    node: ast.stmt | ast.ExceptHandler

    @property
    def is_header(self) -> bool:
        """Whether deeper units must follow."""
        return self.role != "simple"

    def source(self) -> str:
        """Its line or lines, indented, each ended by a newline."""
        if self.role in ("else", "finally", "try"):
            return f"{'    ' * self.depth}{self.role}:\n"
        wrapped: ast.stmt
        if isinstance(self.node, ast.ExceptHandler):
            wrapped = ast.Try(body=[ast.Pass()], handlers=[self.node], orelse=[], finalbody=[])
        else:
            wrapped = self.node
        for _ in range(self.depth):
            wrapped = ast.If(test=ast.Constant(True), body=[wrapped], orelse=[])
        # Indented by `unparse` itself, which knows the lines of a string from lines of code.
        lines = ast.unparse(ast.fix_missing_locations(wrapped)).split("\n")[self.depth :]
        if self.role == "except":
            lines = lines[2:]
        if self.is_header:
            lines = lines[:-1]
        if self.role == "elif":
            indent = "    " * self.depth
            lines[0] = f"{indent}el{lines[0].removeprefix(indent)}"
        return "".join(line + "\n" for line in lines)


def flatten(body: Sequence[ast.stmt], depth: int) -> list[Unit]:
    """The units of a block whose statements stand at `depth`."""
    return [unit for statement in body for unit in _flatten_statement(statement, depth)]


def source_of(units: Sequence[Unit]) -> str:
    """The units' source, one after the other."""
    return "".join(unit.source() for unit in units)


def enclosing_headers(units: Sequence[Unit], index: int) -> tuple[Unit, ...]:
    """The headers of the blocks that unit `index` stands in, outermost first."""
    headers: list[Unit] = []
    depth = units[index].depth
    for unit in reversed(units[:index]):
        if unit.depth < depth:
            headers.append(unit)
            depth = unit.depth
    return tuple(reversed(headers))


def cut(units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Two to five runs (start, end) of units that make good steps; one for a single unit.

    Chosen by dynamic programming: steps of like weight, cuts at the end of blocks rather than
    inside, and almost never between a header and its first statement.
    """
    count = len(units)
    if count <= 1:
        return [(0, count)]
    wanted = 2 if count == 2 else 3 if count <= 6 else 4 if count <= 10 else 5
    best: tuple[float, list[tuple[int, int]]] | None = None
    for number in range(2, min(wanted, count) + 1):
        cost, runs = _cut_into(units, number)
        cost += 0.6 * (wanted - number)
        if best is None or cost < best[0]:
            best = cost, runs
    assert best is not None
    return best[1]


def _cut_into(units: Sequence[Unit], number: int) -> tuple[float, list[tuple[int, int]]]:
    weights = [1 + min(3.0, sum(1 for _ in ast.walk(u.node)) / 12) for u in units]
    target = sum(weights) / number
    # costs[k][i]: the cheapest cut of the first i units into k runs, and where the last begins.
    costs: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for k in range(1, number + 1):
        row: dict[int, tuple[float, int]] = {}
        for end in range(k, len(units) + 1):
            options = []
            for start, (before, _) in costs[k - 1].items():
                if start < end:
                    imbalance = (sum(weights[start:end]) - target) / target
                    price = _cut_price(units, start) if start else 0.0
                    options.append((before + imbalance**2 + price, start))
            if options:
                row[end] = min(options)
        costs.append(row)
    runs = []
    end = len(units)
    for k in range(number, 0, -1):
        start = costs[k][end][1]
        runs.append((start, end))
        end = start
    return costs[number][len(units)][0], runs[::-1]


def _cut_price(units: Sequence[Unit], index: int) -> float:
    price = 0.15 * (units[index].depth - units[0].depth)
    if units[index - 1].is_header:
        price += 1.5
    if units[index].role in CONTINUATIONS:
        price += 0.8
    return price


def _flatten_statement(statement: ast.stmt, depth: int) -> Iterator[Unit]:
    match statement:
        case ast.If():
            yield from _flatten_if(statement, depth, "if")
        case ast.For() | ast.While():
            yield Unit(
                depth, "for" if isinstance(statement, ast.For) else "while", _head(statement)
            )
            yield from flatten(statement.body, depth + 1)
            if statement.orelse:
                yield Unit(depth, "else", _head(statement))
                yield from flatten(statement.orelse, depth + 1)
        case ast.With():
            yield Unit(depth, "with", _head(statement))
            yield from flatten(statement.body, depth + 1)
        case ast.FunctionDef() | ast.ClassDef():
            role: Role = "def" if isinstance(statement, ast.FunctionDef) else "class"
            yield Unit(depth, role, _head(statement))
            yield from flatten(statement.body, depth + 1)
        case ast.Try():
            yield Unit(depth, "try", _head(statement))
            yield from flatten(statement.body, depth + 1)
            for handler in statement.handlers:
                yield Unit(depth, "except", _head(handler))
                yield from flatten(handler.body, depth + 1)
            if statement.orelse:
                yield Unit(depth, "else", _head(statement))
                yield from flatten(statement.orelse, depth + 1)
            if statement.finalbody:
                yield Unit(depth, "finally", _head(statement))
                yield from flatten(statement.finalbody, depth + 1)
        case _:
            yield Unit(depth, "simple", statement)


def _flatten_if(statement: ast.If, depth: int, role: Role) -> Iterator[Unit]:
    yield Unit(depth, role, _head(statement))
    yield from flatten(statement.body, depth + 1)
    match statement.orelse:
        case []:
            pass
        case [ast.If() as following]:
            yield from _flatten_if(following, depth, "elif")
        case orelse:
            yield Unit(depth, "else", _head(statement))
            yield from flatten(orelse, depth + 1)


def _head(statement: ast.stmt | ast.ExceptHandler) -> ast.stmt | ast.ExceptHandler:
    head = copy.copy(statement)
    for name in ("body", "orelse", "handlers", "finalbody"):
        if hasattr(head, name):
            setattr(head, name, [ast.Pass()] if name == "body" else [])
    if isinstance(head, ast.Try):
        head.finalbody = [ast.Pass()]
    return head
