"""Assertions about `candidate` as data: the calls to make, and what to compare the results with.

Code that is nothing but such assertions needs no process of its own: the calls are made where the
program is, the comparisons where the judge is. Anything else is left to be run.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Relation = Literal["==", "!=", "is", "true", "false", "close"]

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_MAX_POWER = 64

# Test code with an odd escape in a string is the same test; nobody here can act on the warning.
warnings.filterwarnings("ignore", module="<check>")


@dataclass(frozen=True)
class Assertion:
    """`candidate(*args, **kwargs) RELATION value`; "close" is abs(result - value) < tolerance."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    relation: Relation
    value: Any = None
    tolerance: float = 0.0
    inclusive: bool = False

    def holds(self, result: Any) -> bool:
        """Whether the assertion holds for the plain value that the call gave."""
        match self.relation:
            case "==":
                return bool(result == self.value)
            case "!=":
                return bool(result != self.value)
            case "is":
                return type(result) is type(self.value) and result == self.value
            case "true":
                return bool(result)
            case "false":
                return not result
        if isinstance(result, bool) or not isinstance(result, (int, float)):
            return False
        try:
            distance = abs(result - self.value)
        except OverflowError:
            return False
        return distance < self.tolerance or (self.inclusive and distance == self.tolerance)

    def expected_text(self) -> str:
        """What the result should be, for a person."""
        match self.relation:
            case "==" | "is":
                return _repr(self.value)
            case "!=":
                return f"not {_repr(self.value)}"
            case "true":
                return "a true value"
            case "false":
                return "a false value"
        return f"{_repr(self.value)} ± {self.tolerance!r}"


def assertions(code: str, entry_point: str | None = None) -> tuple[Assertion, ...] | None:
    """The assertions that `code` consists of, in order; None if it is anything more, or none.

    The function is called `candidate` or by its own name; the assertions stand at the top level or
    in `def check(candidate)`. Comparisons: with a literal by ==, != and is, `not`, bare truth, and
    abs(candidate(...) - number) < number.
    """
    try:
        body = ast.parse(code, "<check>").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = {"candidate", entry_point or "candidate"}
    try:
        found = tuple(_walk(body, names))
    except _OtherCodeError:
        return None
    except (RecursionError, OverflowError, ZeroDivisionError):
        return None
    return found or None


class _OtherCodeError(Exception):
    """Code that is more than assertions."""


def _walk(body: list[ast.stmt], names: set[str]) -> Iterator[Assertion]:
    check: list[ast.stmt] | None = None
    called = False
    for statement in body:
        match statement:
            case ast.Assert(test=ast.Constant(value=True)):
                pass  # HumanEval has many, "good for debugging"
            case ast.Assert(test=test):
                yield _assertion(test, names)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass  # a docstring
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                _check_import(statement, aliases, names)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper():
                _literal(value)  # METADATA; a use of it would be no literal
            case ast.FunctionDef(name="check", args=arguments, body=inner, decorator_list=[]):
                if [a.arg for a in arguments.args] != ["candidate"] or check is not None:
                    raise _OtherCodeError
                check = inner
            case ast.Expr(
                value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=name)], keywords=[])
            ) if check is not None and name in names and not called:
                called = True
                yield from _checked(check, names)
            case _:
                raise _OtherCodeError
    if check is not None and not called:
        yield from _checked(check, names)


def _checked(body: list[ast.stmt], names: set[str]) -> Iterator[Assertion]:
    for statement in body:
        match statement:
            case ast.Assert(test=ast.Constant(value=True)):
                pass
            case ast.Assert(test=test):
                yield _assertion(test, names)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                raise _OtherCodeError


def _check_import(statement: ast.stmt, aliases: list[ast.alias], names: set[str]) -> None:
    """Lets an import pass that gives no new meaning to a name which is understood here."""
    for alias in aliases:
        bound = alias.asname or alias.name.partition(".")[0]
        plain_math = isinstance(statement, ast.Import) and alias.name == bound == "math"
        if bound in {"*", "abs", "set", "check", "math", *names} and not plain_math:
            raise _OtherCodeError


def _assertion(test: ast.expr, names: set[str]) -> Assertion:
    match test:
        case ast.Call():
            return Assertion(*_call(test, names), "true")
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call):
            return Assertion(*_call(call, names), "false")
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _comparison(left, op, right, names)
    raise _OtherCodeError


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, names: set[str]) -> Assertion:
    match left, op:
        case (
            ast.Call(
                func=ast.Name(id="abs") | ast.Attribute(value=ast.Name(id="math"), attr="fabs"),
                args=[ast.BinOp(left=first, op=ast.Sub(), right=second)],
                keywords=[],
            ),
            ast.Lt() | ast.LtE(),
        ):
            call, value = (first, second) if _is_call(first, names) else (second, first)
            center, tolerance = _literal(value), _literal(right)
            if not all(type(v) in (int, float) for v in (center, tolerance)):
                raise _OtherCodeError
            inclusive = isinstance(op, ast.LtE)
            return Assertion(*_call(call, names), "close", center, tolerance, inclusive)
    if not _is_call(left, names):
        left, right = right, left
    value = _literal(right)
    match op:
        case ast.Eq():
            relation: Relation = "=="
        case ast.NotEq():
            relation = "!="
        case ast.Is() if value is None or value is True or value is False:
            relation = "is"
        case _:
            raise _OtherCodeError
    return Assertion(*_call(left, names), relation, value)


def _is_call(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _call(node: ast.expr, names: set[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not (isinstance(node, ast.Call) and _is_call(node, names)):
        raise _OtherCodeError
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise _OtherCodeError
        kwargs[keyword.arg] = _literal(keyword.value)
    return tuple(_literal(a) for a in node.args), kwargs


def _literal(node: ast.expr) -> Any:
    """The value of a literal, arithmetic on numbers included."""
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.List(elts=items):
            return [_literal(v) for v in items]
        case ast.Tuple(elts=items):
            return tuple(_literal(v) for v in items)
        case ast.Set(elts=items):
            return _built(set, [_literal(v) for v in items])
        case ast.Call(func=ast.Name(id="set"), args=[], keywords=[]):
            return set()
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = [(_literal(k), _literal(v)) for k, v in zip(keys, values, strict=True) if k]
            return _built(dict, pairs)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return +_number(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, power = _number(left), _number(right)
            if abs(power) > _MAX_POWER or abs(base) > 1 << 64:
                raise _OtherCodeError
            return base**power
        case ast.BinOp(left=ast.Constant(value=str(first)), op=ast.Add(), right=right):
            second = _literal(right)
            if type(second) is not str:
                raise _OtherCodeError
            return first + second
        case ast.BinOp(left=ast.BinOp() as left, op=ast.Add(), right=ast.Constant(value=str(last))):
            joined = _literal(left)
            if type(joined) is not str:
                raise _OtherCodeError
            return joined + last
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](_number(left), _number(right))
    raise _OtherCodeError


def _number(node: ast.expr) -> Any:
    value = _literal(node)
    if type(value) not in (int, float, complex):
        raise _OtherCodeError
    return value


def _built(kind: Callable[[Any], Any], items: list[Any]) -> Any:
    try:
        return kind(items)
    except TypeError as error:
        raise _OtherCodeError from error


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:
        return f"an integer of {value.bit_length()} bits"
