"""Wrong variants of a step, made as programmers go wrong: by small changes to its syntax tree.

A mutant is a changed list of units. It keeps the shape at both edges of the step, so that the
fragments of any choice of variants still form a program.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from codeprm_jax.problems.syntax_decompose import replaced
from codeprm_jax.problems.syntax_edits import Edit, expression_edits, statement_edits
from codeprm_jax.problems.syntax_units import CONTINUATIONS, Unit

# Kinds by how they are preferred: slips that people make; larger ones; changes of last resort,
# among them those that may keep a loop from ending.
SLIPS = (
    "comparison", "arithmetic", "off by one", "bounds", "call", "slice", "logic", "negation",
    "initial value", "arguments", "dropped condition", "returned truth", "text", "index", "update",
)  # fmt: skip
BLUNDERS = ("dropped statement", "dropped branch", "order", "nesting", "other name", "jump")
LAST_RESORT = ("returned value", "any value", "risky")


@dataclass(frozen=True)
class Mutant:
    """A changed step: the kind of the change, and its units."""

    kind: str
    units: tuple[Unit, ...]


def mutants(
    units: Sequence[Unit], enclosing: Sequence[Unit], names: Sequence[str]
) -> Iterator[Mutant]:
    """Every mutant of a step, in a fixed order; some may equal the step in what they do.

    Args:
      units: those of the step.
      enclosing: the headers that its first unit stands under.
      names: variables that are bound before the step, for wrong names.
    """
    for index, unit in enumerate(units):
        risky = _moves_a_loop(units, index, enclosing)
        for kind, node in _unit_edits(unit, names):
            assert isinstance(node, (ast.stmt, ast.ExceptHandler))
            changed = (*units[:index], replace(unit, node=node), *units[index + 1 :])
            yield Mutant("risky" if risky else kind, changed)
    for kind, changed, touched in _block_edits(units):
        risky = any(_moves_a_loop(units, index, enclosing) for index in touched)
        yield Mutant("risky" if risky else kind, changed)


def _moves_a_loop(units: Sequence[Unit], index: int, enclosing: Sequence[Unit]) -> bool:
    """Whether the unit is the test of a `while` or assigns what such a test reads."""
    unit = units[index]
    if unit.role == "while":
        return True
    around = [h for h in enclosing if h.depth < unit.depth and h.role == "while"]
    depth = unit.depth
    for earlier in reversed(units[:index]):
        if earlier.depth < depth:
            depth = earlier.depth
            if earlier.role == "while":
                around.append(earlier)
    guards = {name for h in around for name in _names(h.node)}
    return bool(guards & _written(unit.node)) or (bool(around) and isinstance(unit.node, ast.Break))


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _written(node: ast.AST) -> set[str]:
    """The names that a statement binds, assigns into or calls a method of."""
    found: set[str] = set()
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                found.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
                found.add(name)
    return found


def _unit_edits(unit: Unit, names: Sequence[str]) -> Iterator[Edit]:
    """Changes to one statement, or to one header."""
    if unit.role in ("else", "finally", "try", "def", "class", "except", "with"):
        return
    node = unit.node
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Pass)):
        return
    yield from statement_edits(node, names)
    for part in _expressions(node):
        for kind, new in expression_edits(part, names):
            yield kind, replaced(node, part, new)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions of a statement that may be changed, from the outside in."""
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "body", "orelse") and isinstance(node, ast.stmt):
            continue
        if isinstance(node, ast.JoinedStr) or name in ("target", "targets", "ctx"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.expr):
                yield child
            if isinstance(child, ast.AST):
                yield from _expressions(child)


def _block_edits(
    units: Sequence[Unit],
) -> Iterator[tuple[str, tuple[Unit, ...], tuple[int, ...]]]:
    """Changes to the structure: (kind, new units, indices of the old units concerned)."""
    spans = [_span(units, index) for index in range(len(units))]
    for index, unit in enumerate(units):
        end = spans[index]
        concerned = tuple(range(index, end))
        whole = end < len(units) or not unit.is_header
        if unit.role == "simple" and len(units) > 1 and not _is_inert(unit):
            left = _without(units, index, index + 1)
            if left is not None:
                # An empty block reads oddly and says that something was taken out.
                kind = "dropped statement" if len(left) < len(units) else "any value"
                yield kind, left, concerned
        if unit.role in ("if", "for") and whole and end > index + 1:
            left = _without(units, index, _chain_end(units, index))
            if left is not None:
                yield "dropped branch", left, tuple(range(index, _chain_end(units, index)))
            if unit.role == "if" and not _continues(units, end):
                body = [replace(u, depth=u.depth - 1) for u in units[index + 1 : end]]
                yield "dropped condition", (*units[:index], *body, *units[end:]), concerned
        if unit.role in ("elif", "else") and index > 0 and end > index + 1 and end < len(units):
            yield "dropped branch", (*units[:index], *units[end:]), concerned
        following = units[end] if end < len(units) else None
        if unit.role == "simple" and following is not None and following.role == "simple":
            if following.depth == unit.depth and _depend(unit, following):
                swapped = (*units[:index], following, unit, *units[end + 1 :])
                yield "order", swapped, (index, end)
            last_of_block = following.depth < unit.depth and index > 0
            if last_of_block and units[index - 1].depth == unit.depth:
                moved = replace(unit, depth=unit.depth - 1)
                yield "nesting", (*units[:index], moved, *units[end:]), concerned
        if unit.role in ("for", "while") and _may_move_in(following, unit.depth):
            moved = replace(units[end], depth=unit.depth + 1)
            yield "nesting", (*units[:end], moved, *units[end + 1 :]), (*concerned, end)


def _span(units: Sequence[Unit], index: int) -> int:
    """The index after the last unit of the block that unit `index` opens."""
    depth = units[index].depth
    for end in range(index + 1, len(units)):
        if units[end].depth <= depth:
            return end
    return len(units)


def _continues(units: Sequence[Unit], end: int) -> bool:
    return end < len(units) and units[end].role in CONTINUATIONS


def _chain_end(units: Sequence[Unit], index: int) -> int:
    """The index after the last branch of the statement that begins at `index`."""
    end = _span(units, index)
    while end < len(units) and units[end].depth == units[index].depth and _continues(units, end):
        end = _span(units, end)
    return end


def _without(units: Sequence[Unit], start: int, end: int) -> tuple[Unit, ...] | None:
    """The units but those from `start` to `end`; a block that loses its last gets `pass`.

    What stands in the same block within this step decides: neighbours may lose theirs too. None
    where nothing would be left, or where the step's last block may go on in the next step.
    """
    depth = units[start].depth
    if end == len(units) and start == 0:
        return None
    if end == len(units) and units[start].is_header:
        return None
    before = start > 0 and units[start - 1].depth >= depth
    after = end < len(units) and units[end].depth == depth and not _continues(units, end)
    if before or after or depth == min(u.depth for u in units) == 0:
        return (*units[:start], *units[end:])
    return (*units[:start], Unit(depth, "simple", ast.Pass()), *units[end:])


def _depend(first: Unit, second: Unit) -> bool:
    """Whether the order of two statements may matter, neither of them a jump."""
    if _jumps(first) or _jumps(second):
        return False
    forward = _written(first.node) & _names(second.node)
    return bool(forward or _written(second.node) & _names(first.node))


def _may_move_in(unit: Unit | None, depth: int) -> bool:
    """Whether a statement that follows a loop could be taken for its last."""
    return (
        unit is not None
        and unit.depth == depth
        and isinstance(unit.node, (ast.Return, ast.AugAssign, ast.Expr))
    )


def _jumps(unit: Unit) -> bool:
    return isinstance(unit.node, (ast.Return, ast.Break, ast.Continue, ast.Raise))


def _is_inert(unit: Unit) -> bool:
    return isinstance(unit.node, (ast.Pass, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal))
