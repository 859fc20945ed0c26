"""A body of one `return` written out in several statements that do the same.

`return len(set(s.lower()))` becomes `value = s.lower()` and `return len(set(value))`; a list built
in place becomes a loop. Only what keeps the order of evaluation is written out: the part that is
evaluated first is moved in front.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

# These take all elements of a generator, in order: a list in its place changes nothing.
_CONSUMERS = {"sum", "sorted", "list", "set", "tuple", "max", "min", "dict", "frozenset", "join"}
_SCOPES = (
    ast.Lambda, ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def decompose(body: Sequence[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """The statements of `body`, or, where it is one `return`, an equal longer form if there is one.

    Args:
      body: statements of a function.
      names: all names that the program uses; the new variables have others.
    """
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return list(body)
    value = body[0].value
    match value:
        case ast.IfExp(test=test, body=then, orelse=otherwise):
            return [ast.If(test, [ast.Return(then)], []), ast.Return(otherwise)]
        case ast.ListComp(generators=[generator]) if _may_become_loop(value, names):
            return _loop(value.elt, generator, names)
        case ast.Call(func=ast.Name(id="any" | "all" as name), args=[argument], keywords=[]):
            if isinstance(argument, (ast.GeneratorExp, ast.ListComp)):
                searched = _search(name, argument, names)
                if searched is not None:
                    return searched
    return _hoist(value, names)


def _hoist(value: ast.expr, names: set[str]) -> list[ast.stmt]:
    """`temporary = part` and the return of the rest."""
    part = _first_part(value)
    if part is None:
        return [ast.Return(value)]
    moved = part
    if isinstance(part, ast.GeneratorExp):
        moved = ast.ListComp(part.elt, part.generators)
    name = _new_name("values" if isinstance(moved, ast.ListComp) else "value", names)
    rest = ast.Return(replaced_expression(value, part, ast.Name(name, ast.Load())))
    comprehension = moved if isinstance(moved, ast.ListComp) else None
    if (
        comprehension is not None
        and len(comprehension.generators) == 1
        and _may_become_loop(comprehension, names)
    ):
        loop = _loop(comprehension.elt, comprehension.generators[0], names, name)
        return [*loop[:-1], rest]
    return [ast.Assign([ast.Name(name, ast.Store())], moved), rest]


def _first_part(value: ast.expr) -> ast.expr | None:
    """The first evaluated operand that does real work, or None."""
    match value:
        case ast.Call(func=func, args=args, keywords=keywords):
            if isinstance(func, ast.Attribute) and _works(func.value):
                return func.value
            if not isinstance(func, ast.Name) and not (
                isinstance(func, ast.Attribute) and not _works(func.value)
            ):
                return None
            name = func.id if isinstance(func, ast.Name) else func.attr
            for operand in [*args, *(k.value for k in keywords)]:
                if isinstance(operand, ast.GeneratorExp) and name in _CONSUMERS:
                    return operand
                if isinstance(operand, (ast.GeneratorExp, ast.Starred)):
                    return None
                if _works(operand):
                    return operand
            return None
        case ast.BinOp(left=left, right=right):
            return left if _works(left) else right if _works(right) else None
        case ast.Compare(left=left, comparators=comparators):
            return left if _works(left) else comparators[0] if _works(comparators[0]) else None
        case ast.BoolOp(values=[first, *_]):
            return first if _works(first) else None
        case ast.UnaryOp(operand=operand):
            return operand if _works(operand) else None
        case ast.Subscript(value=container):
            return container if _works(container) else None
        case ast.Attribute(value=owner):
            return owner if _works(owner) else None
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            for element in elements:
                if isinstance(element, ast.Starred):
                    return None
                if _works(element):
                    return element
            return None
        case ast.ListComp(generators=[generator, *_]) | ast.SetComp(generators=[generator, *_]):
            return generator.iter if _works(generator.iter) else None
        case ast.DictComp(generators=[generator, *_]):
            return generator.iter if _works(generator.iter) else None
    return None


def _works(value: ast.expr) -> bool:
    """Whether computing it is worth a step; what is not has no effects either."""
    if isinstance(value, (ast.Constant, ast.Name, ast.Lambda, ast.GeneratorExp, ast.Starred)):
        return False
    if isinstance(value, ast.Attribute):
        return _works(value.value)
    if isinstance(value, ast.UnaryOp):
        return _works(value.operand)
    if isinstance(value, (ast.List, ast.Tuple, ast.Dict, ast.Set)):
        return any(_works(v) for v in ast.iter_child_nodes(value) if isinstance(v, ast.expr))
    return True


def _may_become_loop(value: ast.ListComp, names: set[str]) -> bool:
    """Whether the comprehension's own scope does not matter."""
    parts = [value.elt, *value.generators[0].ifs]
    inner = [n for part in parts for n in ast.walk(part)]
    target = value.generators[0].target
    bound = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return (
        not any(isinstance(n, _SCOPES) for n in inner)
        and not value.generators[0].is_async
        and not bound & _rebound_reads(value.generators[0].iter)
        and bool(names)
    )


def _rebound_reads(iterable: ast.expr) -> set[str]:
    """Names that a lazy iterable may still read while the loop binds its own."""
    if any(isinstance(n, (ast.Lambda, ast.GeneratorExp)) for n in ast.walk(iterable)):
        return {n.id for n in ast.walk(iterable) if isinstance(n, ast.Name)}
    return set()


def _loop(
    element: ast.expr, generator: ast.comprehension, names: set[str], result: str | None = None
) -> list[ast.stmt]:
    result = result or _new_name("result", names)
    append = ast.Call(
        ast.Attribute(ast.Name(result, ast.Load()), "append", ast.Load()), [element], []
    )
    return [
        ast.Assign([ast.Name(result, ast.Store())], ast.List([], ast.Load())),
        ast.For(generator.target, generator.iter, _guarded(generator, ast.Expr(append)), []),
        ast.Return(ast.Name(result, ast.Load())),
    ]


def _search(
    name: str, value: ast.GeneratorExp | ast.ListComp, names: set[str]
) -> list[ast.stmt] | None:
    """`any` or `all` as a loop that returns early; None where that would not be the same."""
    as_list = ast.ListComp(value.elt, value.generators)
    # A list is built to its end before it is searched; a loop that stops early would hide errors.
    if isinstance(value, ast.ListComp) or len(value.generators) != 1:
        return None
    if not _may_become_loop(as_list, names):
        return None
    generator = value.generators[0]
    found = name == "any"
    test = value.elt if found else ast.UnaryOp(ast.Not(), value.elt)
    body = ast.If(test, [ast.Return(ast.Constant(found))], [])
    return [
        ast.For(generator.target, generator.iter, _guarded(generator, body), []),
        ast.Return(ast.Constant(not found)),
    ]


def _guarded(generator: ast.comprehension, body: ast.stmt) -> list[ast.stmt]:
    for test in reversed(generator.ifs):
        body = ast.If(test, [body], [])
    return [body]


def _new_name(wish: str, names: set[str]) -> str:
    name, number = wish, 2
    while name in names:
        name, number = f"{wish}_{number}", number + 1
    names.add(name)
    return name


def replaced_expression(root: ast.expr, old: ast.AST, new: ast.AST) -> ast.expr:
    """A copy of `root` with `new` in the place of its descendant `old`; nothing is changed."""
    copied = replaced(root, old, new)
    assert isinstance(copied, ast.expr)
    return copied


def replaced(root: ast.AST, old: ast.AST, new: ast.AST) -> ast.AST:
    """As `replaced_expression`, for any node."""
    if root is old:
        return new
    fields: dict[str, object] = {}
    for name, value in ast.iter_fields(root):
        if isinstance(value, ast.AST):
            fields[name] = replaced(value, old, new)
        elif isinstance(value, list):
            fields[name] = [replaced(v, old, new) if isinstance(v, ast.AST) else v for v in value]
        else:
            fields[name] = value
    return type(root)(**fields)
