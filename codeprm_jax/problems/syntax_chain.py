"""Chains cut from reference solutions, for problems that nobody wrote steps for.

The entry point's body is cut into two to five steps; the thought of a step says in words what its
statements do, and its wrong variants are mutants of the syntax tree, told in the same words. Some
mutants do what the original does: whether a step is right is for executions to say.
"""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Iterable, Iterator, Sequence

from codeprm_jax.files import stable_seed
from codeprm_jax.problems.chain import Chain, ChainStep, Variant
from codeprm_jax.problems.problem import ProblemError
from codeprm_jax.problems.records import parse_source
from codeprm_jax.problems.syntax_decompose import decompose
from codeprm_jax.problems.syntax_describe import describe
from codeprm_jax.problems.syntax_mutate import BLUNDERS, LAST_RESORT, SLIPS, Mutant, mutants
from codeprm_jax.problems.syntax_units import (
    Unit,
    cut,
    enclosing_headers,
    flatten,
    source_of,
)

WRONG_VARIANTS = 5
FEWEST_WRONG = 3


def chain_from_reference(
    problem_id: str, solution: str, entry_point: str | None, rng_seed: int = 0
) -> Chain:
    """The chain of a solution: its steps in words and code, each with wrong variants.

    The program of the right variants is the solution in uniform formatting, without comments and
    docstrings; a body that is one `return` may be written out in several statements that do the
    same. Equal arguments give equal chains.

    Args:
      problem_id: the problem that is solved.
      solution: Python source.
      entry_point: the function to cut; None for a program on stdin, which is cut whole.
      rng_seed: chooses among the wrong variants.

    Raises:
      ProblemError: the solution is no Python, or does not define the entry point as a function.
    """
    module = parse_source(solution, f"problem {problem_id!r}: its reference solution")
    module = _StringStatements().visit(module)
    before, body, after = _parts(problem_id, module, entry_point)
    taken = {n.id for n in ast.walk(module) if isinstance(n, ast.Name)}
    taken |= {a.arg for a in ast.walk(module) if isinstance(a, ast.arg)}
    depth = 0 if entry_point is None else 1
    imports = _leading_imports(body)
    statements = decompose(body[len(imports) :], taken) or [ast.Pass()]
    units = flatten(statements, depth)
    prologue = before + source_of(flatten(imports, depth))
    parameters = _parameters(module, entry_point)
    rng = random.Random(stable_seed("syntax_chain", problem_id, rng_seed))
    steps = []
    for start, end in cut(units):
        step = units[start:end]
        around = enclosing_headers(units, start)
        rest = prologue + source_of(units[:start]), source_of(units[end:]) + after
        names = list(dict.fromkeys([*parameters, *_bound_names(units[:end])]))
        right = Variant(describe(step, around, depth), source_of(step))
        wrong = _wrong_variants(right, mutants(step, around, names), around, depth, rest, rng)
        steps.append(ChainStep(right, tuple(wrong)))
    return Chain(problem_id, tuple(steps), prologue, after)


def _parts(
    problem_id: str, module: ast.Module, entry_point: str | None
) -> tuple[str, list[ast.stmt], str]:
    """Source before the body, the body, and source after it."""
    if entry_point is None:
        return "", module.body, ""
    found = [s for s in module.body if isinstance(s, ast.FunctionDef) and s.name == entry_point]
    if not found:
        raise ProblemError(
            f"problem {problem_id!r}: its reference solution defines no function "
            f"{entry_point!r} at its top level; name the right entry point or correct the solution"
        )
    function = found[-1]
    index = module.body.index(function)
    before = [*module.body[:index]]
    header = flatten([function], 0)[0]
    prologue = "".join(ast.unparse(s) + "\n" for s in before) + header.source()
    epilogue = "".join(ast.unparse(s) + "\n" for s in module.body[index + 1 :])
    return prologue, function.body, epilogue


def _leading_imports(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    imports: list[ast.stmt] = []
    for statement in body[:-1]:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            break
        imports.append(statement)
    return imports


def _parameters(module: ast.Module, entry_point: str | None) -> list[str]:
    """The names of the entry point's parameters."""
    for statement in module.body[::-1]:
        if isinstance(statement, ast.FunctionDef) and statement.name == entry_point:
            arguments = statement.args
            return [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return []


def _bound_names(units: Sequence[Unit]) -> list[str]:
    return [
        n.id
        for unit in units
        if unit.role in ("simple", "for")
        for n in ast.walk(unit.node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]


def _wrong_variants(
    right: Variant,
    candidates: Iterable[Mutant],
    around: Sequence[Unit],
    depth: int,
    rest: tuple[str, str],
    rng: random.Random,
) -> list[Variant]:
    """Up to WRONG_VARIANTS mutants of as many kinds as there are, no two alike.

    Changes of last resort are taken only where there would be fewer than FEWEST_WRONG.
    """
    by_kind: dict[str, list[Mutant]] = {}
    for mutant in candidates:
        by_kind.setdefault(mutant.kind, []).append(mutant)
    for group in by_kind.values():
        rng.shuffle(group)
    thoughts, codes = {right.thought}, {right.code}
    wrong: list[Variant] = []
    for mutant in _in_turn(by_kind, rng):
        if len(wrong) == WRONG_VARIANTS:
            break
        if mutant.kind in LAST_RESORT and len(wrong) >= FEWEST_WRONG:
            break
        variant = Variant(describe(mutant.units, around, depth), source_of(mutant.units))
        if variant.thought in thoughts or variant.code in codes:
            continue
        if _compiles(rest[0] + variant.code + rest[1]):
            thoughts.add(variant.thought)
            codes.add(variant.code)
            wrong.append(variant)
    return wrong


def _in_turn(by_kind: dict[str, list[Mutant]], rng: random.Random) -> Iterator[Mutant]:
    """Mutants in the order in which they are wanted: kinds take turns, every third a blunder."""
    slips = [k for k in SLIPS if k in by_kind]
    blunders = [k for k in BLUNDERS if k in by_kind]
    rng.shuffle(slips)
    rng.shuffle(blunders)
    queues = {k: list(group) for k, group in by_kind.items()}
    turn = 0
    while slips or blunders:
        kinds = blunders if blunders and (turn % 3 == 2 or not slips) else slips
        kind = kinds.pop(0)
        yield queues[kind].pop(0)
        if queues[kind]:
            kinds.append(kind)
        turn += 1
    for kind in LAST_RESORT:
        yield from queues.get(kind, [])


def _compiles(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "variant", "exec")
        except (SyntaxError, ValueError):
            return False
    return True


class _StringStatements(ast.NodeTransformer):
    """Removes strings that stand as statements, docstrings too: they are comments."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        """Leaves a string out."""
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Puts `pass` where a block has lost its only statement."""
        node = super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node
