"""Small changes to one statement or expression, each with the kind of slip that it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from codeprm_jax.problems.syntax_decompose import replaced

Edit = tuple[str, ast.AST]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Mod, ast.Div),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr, ast.BitAnd),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_FUNCTIONS = {
    "max": ("min",), "min": ("max",), "any": ("all",), "all": ("any",), "sum": ("max", "len"),
    "sorted": ("list",), "ceil": ("floor",), "floor": ("ceil",), "round": ("int",),
    "set": ("list",), "nlargest": ("nsmallest",), "nsmallest": ("nlargest",), "ord": ("int",),
    "bin": ("oct", "hex"), "permutations": ("combinations",), "combinations": ("permutations",),
    "map": ("filter",), "filter": ("map",), "sqrt": ("abs",), "reversed": ("sorted",),
    "lstrip": ("rstrip",), "strip": ("lstrip", "rstrip"), "rstrip": ("lstrip",),
    "lower": ("upper",), "upper": ("lower",), "swapcase": ("upper", "lower"),
    "islower": ("isupper",), "isupper": ("islower",), "isdigit": ("isalpha", "isalnum"),
    "isalpha": ("isalnum", "isdigit"), "isalnum": ("isalpha",), "startswith": ("endswith",),
    "endswith": ("startswith",), "find": ("rfind",), "rfind": ("find",), "keys": ("values",),
    "values": ("keys",), "items": ("keys",), "union": ("intersection",), "search": ("match",),
    "intersection": ("union", "difference"), "difference": ("intersection",),
    "match": ("fullmatch", "search"), "findall": ("split",), "capitalize": ("title", "upper"),
    "title": ("capitalize",), "add": ("discard",), "count": ("find",),
    "tuple": ("list",), "list": ("set",), "popleft": ("pop",), "most_common": ("elements",),
    "Counter": ("set", "list"), "bisect_left": ("bisect_right",),
    "bisect_right": ("bisect_left",), "bisect": ("bisect_left",), "index": ("count",),
}  # fmt: skip
_TEXT_PAIRS = {
    "yes": "no", "no": "yes", "even": "odd", "odd": "even", "true": "false", "false": "true",
    "": " ", " ": "", "aeiou": "aeio", "0": "1", "1": "0", ",": " ", ".": ",", "(": ")",
    ")": "(", "[": "]", "]": "[", "<": ">", ">": "<", "\n": " ", "a": "b",
}  # fmt: skip
# Calls in which the order of two arguments decides nothing, or a swap only breaks the program.
_UNSWAPPED = {
    "max", "min", "isinstance", "zip", "gcd", "print", "map", "filter", "sub", "search", "match",
    "findall", "reduce", "getattr", "hasattr", "join", "add", "insert", "sorted", "enumerate",
    "replace", "nlargest", "nsmallest", "fullmatch", "split", "combinations", "permutations",
}  # fmt: skip


def statement_edits(node: ast.AST, names: Sequence[str]) -> Iterator[Edit]:
    """(kind, changed statement) for changes that concern a statement or header as such.

    `names` are variables that it might use by mistake.
    """
    match node:
        case ast.If(test=test):
            opposite = _opposite(test)
            if opposite is not None:
                yield "negation", replaced(node, test, opposite)
        case ast.AugAssign(target=target, op=op, value=change):
            for new in _OPERATORS.get(type(op), ()):
                yield "update", ast.AugAssign(target, new(), change)
            yield "update", ast.Assign([target], change)
        case ast.Assign(targets=[ast.Name(id=assigned)], value=start):
            for new_start in _initial_values(start):
                yield "initial value", replaced(node, start, new_start)
            for other in [n for n in names if n != assigned][:3]:
                yield "any value", replaced(node, start, _name(other))
            yield "any value", replaced(node, start, ast.Constant(None))
            yield "any value", replaced(node, start, ast.List([], ast.Load()))
        case ast.For(iter=ast.Name() as items):
            for part in (ast.Slice(ast.Constant(1)), ast.Slice(None, _number(-1))):
                yield "bounds", replaced(node, items, ast.Subscript(items, part, ast.Load()))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="sort")) as call):
            sorted_copy = ast.Call(_name("sorted"), [owner], call.keywords)
            yield "call", ast.Expr(sorted_copy)
            reversal = ast.Call(ast.Attribute(owner, "reverse", ast.Load()), [], [])
            yield "call", ast.Expr(reversal)
        case ast.Expr(value=ast.Call(args=[_, *_])):
            yield "any value", ast.Pass()
        case ast.Return(value=ast.expr() as result):
            yield from _return_edits(result, names)
        case ast.Break():
            yield "jump", ast.Continue()
            yield "jump", ast.Return(None)
            yield "any value", ast.Pass()
        case ast.Continue():
            yield "jump", ast.Break()
            yield "any value", ast.Pass()


def _initial_values(start: ast.expr) -> Iterator[ast.expr]:
    match start:
        case ast.List(elts=[]):
            yield ast.List([ast.Constant(0)], ast.Load())
            yield ast.List([ast.Constant("")], ast.Load())
            yield ast.List([ast.Constant(None)], ast.Load())
        case ast.Call(func=ast.Name(id="list"), args=[]):
            yield ast.List([ast.Constant(0)], ast.Load())
            yield ast.Call(_name("set"), [], [])
        case ast.Call(func=ast.Name(id="defaultdict"), args=[ast.Name(id=kind)]):
            for other in ("int", "list", "set"):
                if other != kind:
                    yield ast.Call(_name("defaultdict"), [_name(other)], [])
            yield ast.Dict([], [])
        case ast.Dict(keys=[]) | ast.Call(func=ast.Name(id="set" | "dict"), args=[], keywords=[]):
            yield ast.List([], ast.Load())
            yield ast.Dict([ast.Constant(0)], [ast.Constant(0)])
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=0):
            yield ast.Constant(1)
            yield ast.Constant(-1)
        case ast.Constant(value=None):
            yield ast.Constant(0)
        case ast.Constant(value=""):
            yield ast.Constant(" ")
        case ast.List(elts=[_, *rest]) | ast.Tuple(elts=[_, *rest]) if rest:
            yield type(start)(rest, ast.Load())
            yield type(start)(start.elts[:-1], ast.Load())


def _return_edits(result: ast.expr, names: Sequence[str]) -> Iterator[Edit]:
    match result:
        case ast.Constant(value=bool()):
            pass  # changed as a constant
        case ast.Constant(value=None):
            yield "returned value", ast.Return(ast.Constant(0))
            yield "returned value", ast.Return(ast.Constant(False))
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            opposite = _opposite(result)
            if opposite is not None:
                yield "negation", ast.Return(opposite)
            yield "returned value", ast.Return(ast.Constant(True))
            yield "returned value", ast.Return(ast.Constant(False))
        case ast.Tuple(elts=[first, second]):
            yield "arguments", ast.Return(ast.Tuple([second, first], ast.Load()))
            yield "returned value", ast.Return(ast.List([first, second], ast.Load()))
        case ast.Name() | ast.BinOp() | ast.Subscript() | ast.Call():
            one = ast.Constant(1)
            if not _is_text(result):
                yield "off by one", ast.Return(ast.BinOp(result, ast.Sub(), one))
                yield "off by one", ast.Return(ast.BinOp(result, ast.Add(), one))
            yield "returned value", ast.Return(ast.Call(_name("len"), [result], []))
            yield "returned value", ast.Return(ast.Call(_name("str"), [result], []))
            yield "returned value", ast.Return(ast.Call(_name("bool"), [result], []))
            yield "returned value", ast.Return(ast.List([result], ast.Load()))
    for name in names[:3]:
        yield "returned value", ast.Return(_name(name))


def expression_edits(node: ast.expr, names: Sequence[str]) -> Iterator[Edit]:
    """(kind, changed expression) for changes to the outermost operation of an expression."""
    match node:
        case ast.Constant():
            yield from _constant_edits(node)
        case ast.Compare():
            yield from _comparison_edits(node)
        case ast.BoolOp(op=op, values=values):
            opposite = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield "logic", ast.BoolOp(opposite, values)
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield "dropped condition", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield "negation" if isinstance(node.op, ast.Not) else "arithmetic", operand
        case ast.BinOp():
            yield from _operator_edits(node)
        case ast.Call():
            yield from _call_edits(node)
        case ast.Subscript():
            yield from _subscript_edits(node)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "negation", ast.IfExp(test, orelse, body)
            yield "dropped condition", body
            yield "dropped condition", orelse
        case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
            for generator in node.generators:
                for test in generator.ifs:
                    rest = [t for t in generator.ifs if t is not test]
                    yield "dropped condition", _with_tests(node, generator, rest)
                    negated = _opposite(test)
                    if negated is not None:
                        flipped = [negated if t is test else t for t in generator.ifs]
                        yield "negation", _with_tests(node, generator, flipped)
        case ast.List(elts=[_, _, *_]) | ast.Tuple(elts=[_, _, *_]):
            first, second, *more = node.elts
            if ast.dump(first) != ast.dump(second):
                yield "order", type(node)([second, first, *more], ast.Load())
        case ast.Name(id=name, ctx=ast.Load()) if name in names:
            for other in [n for n in names if n != name][:4]:
                yield "other name", _name(other)
        case ast.JoinedStr(values=values) if len(values) > 1:
            yield "text", ast.JoinedStr(values[::-1])
            yield "text", ast.JoinedStr(values[1:])
            yield "text", ast.JoinedStr(values[:-1])


def _with_tests(node: ast.expr, generator: ast.comprehension, tests: list[ast.expr]) -> ast.AST:
    changed = ast.comprehension(generator.target, generator.iter, tests, generator.is_async)
    return replaced(node, generator, changed)


def _constant_edits(node: ast.Constant) -> Iterator[Edit]:
    value: Any = node.value
    if isinstance(value, bool):
        yield "returned truth", ast.Constant(not value)
        yield "any value", ast.Constant(None)
    elif isinstance(value, int):
        yield "off by one", _number(value + 1)
        yield "off by one", _number(value - 1)
        yield "any value", _number(value * 2 if value else 2)
    elif isinstance(value, float):
        yield "off by one", ast.Constant(value + 1)
        if value > 0:
            yield "any value", ast.Constant(value / 2)
        yield "any value", ast.Constant(value + 0.5)
    elif isinstance(value, str):
        yield from (("text", ast.Constant(text)) for text in _other_texts(value))


def _other_texts(text: str) -> Iterator[str]:
    pair = _TEXT_PAIRS.get(text.lower())
    if pair is not None:
        yield pair.capitalize() if text[:1].isupper() else pair
    if len(text) > 1:
        if text.swapcase() != text and "\\" not in text:
            yield text.upper() if text.lower() == text else text.lower()
        yield text[:-1]
        yield text[1:]
        if "+" in text:
            yield text.replace("+", "*", 1)
        if "*" in text:
            yield text.replace("*", "+", 1)
    elif text.isalpha():
        yield text.swapcase()
    elif text and pair is None:
        yield text + " "


def _comparison_edits(node: ast.Compare) -> Iterator[Edit]:
    for index, op in enumerate(node.ops):
        for new in _COMPARISONS[type(op)]:
            ops = [*node.ops[:index], new(), *node.ops[index + 1 :]]
            yield "comparison", ast.Compare(node.left, ops, node.comparators)
    match node:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            if _is_count(right) and not _is_remainder(left):
                yield "comparison", ast.Compare(left, [ast.GtE()], [right])
                yield "comparison", ast.Compare(left, [ast.LtE()], [right])
        case ast.Compare(left=left, ops=[_, _], comparators=[middle, right]):
            yield "dropped condition", ast.Compare(left, node.ops[:1], [middle])
            yield "dropped condition", ast.Compare(middle, node.ops[1:], [right])


def _operator_edits(node: ast.BinOp) -> Iterator[Edit]:
    if _is_text(node.left) or _is_text(node.right) or _is_list(node.left) or _is_list(node.right):
        if isinstance(node.op, ast.Add):
            yield "order", ast.BinOp(node.right, ast.Add(), node.left)
            yield "arithmetic", node.left
            yield "arithmetic", node.right
        return
    for new in _OPERATORS.get(type(node.op), ()):
        yield "arithmetic", ast.BinOp(node.left, new(), node.right)
    if isinstance(node.op, (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod)):
        yield "order", ast.BinOp(node.right, node.op, node.left)
    if isinstance(node.right, ast.Constant):
        yield "dropped condition", node.left


def _call_edits(node: ast.Call) -> Iterator[Edit]:
    func, args, keywords = node.func, node.args, node.keywords
    name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")

    def renamed(new: str) -> ast.expr:
        if isinstance(func, ast.Attribute):
            return ast.Attribute(func.value, new, ast.Load())
        return _name(new)

    if name == "range" and args:
        yield from _range_edits(node)
    for new in _FUNCTIONS.get(name, ()):
        if new != "list" or not keywords:
            yield "call", ast.Call(renamed(new), args, keywords)
    match name, args:
        case "append", [item]:
            yield "call", ast.Call(renamed("insert"), [ast.Constant(0), item], [])
        case "len", [_]:
            yield "off by one", ast.BinOp(node, ast.Sub(), ast.Constant(1))
            yield "off by one", ast.BinOp(node, ast.Add(), ast.Constant(1))
        case "pop", []:
            yield "call", ast.Call(func, [ast.Constant(0)], [])
        case "pop", [ast.Constant(value=0)]:
            yield "call", ast.Call(func, [], [])
        case (("sorted" | "sort"), _):
            if not any(k.arg == "reverse" for k in keywords):
                reverse = ast.keyword("reverse", ast.Constant(True))
                yield "arguments", ast.Call(func, args, [*keywords, reverse])
        case (("abs" | "round" | "set" | "sorted" | "reversed" | "int" | "float"), [only]):
            yield "call", only
        case "split", []:
            yield "arguments", ast.Call(func, [ast.Constant(",")], [])
        case "split", [_]:
            yield "arguments", ast.Call(func, [], [])
        case "count", [only]:
            yield (
                "call",
                ast.Compare(only, [ast.In()], [func.value])
                if isinstance(func, ast.Attribute)
                else only,
            )
        case "replace", [old, new_text]:
            yield "arguments", ast.Call(func, [new_text, old], [])
            yield "arguments", ast.Call(func, [old, new_text, ast.Constant(1)], [])
        case "sub", [_, _, text]:
            yield "arguments", ast.Call(func, [*args[:2], text, ast.Constant(1)], [])
            yield "call", text
    if isinstance(func, ast.Attribute) and not args and name in ("lower", "upper", "strip"):
        yield "call", func.value
    if len(args) == 2 and name not in _UNSWAPPED and name != "range":
        yield "arguments", ast.Call(func, args[::-1], keywords)
    if len(args) == 3 and name not in _UNSWAPPED and name != "range":
        yield "arguments", ast.Call(func, [args[1], args[0], args[2]], keywords)
    for keyword in keywords:
        rest = [k for k in keywords if k is not keyword]
        yield "arguments", ast.Call(func, args, rest)


def _range_edits(node: ast.Call) -> Iterator[Edit]:
    args = node.args
    stop = 0 if len(args) == 1 else 1

    def with_argument(index: int, new: ast.expr) -> Edit:
        return "bounds", ast.Call(node.func, [*args[:index], new, *args[index + 1 :]], [])

    yield with_argument(stop, _plus_one(args[stop]))
    yield with_argument(stop, _minus_one(args[stop]))
    if len(args) == 1:
        yield "bounds", ast.Call(node.func, [ast.Constant(1), args[0]], [])
    else:
        yield with_argument(0, _plus_one(args[0]))
        from_zero = isinstance(args[0], ast.Constant) and args[0].value == 0
        if len(args) == 2 and not from_zero:
            yield "bounds", ast.Call(node.func, args[1:], [])
    if len(args) == 3:
        yield "bounds", ast.Call(node.func, args[:2], [])


def _subscript_edits(node: ast.Subscript) -> Iterator[Edit]:
    match node.slice:
        case ast.Slice(lower=lower, upper=upper, step=step):
            for bound, position in ((lower, "lower"), (upper, "upper")):
                if bound is None:
                    continue
                for new in (_plus_one(bound), _minus_one(bound), None):
                    fields = {"lower": lower, "upper": upper, "step": step, position: new}
                    part = ast.Slice(fields["lower"], fields["upper"], fields["step"])
                    yield "slice", ast.Subscript(node.value, part, ast.Load())
            if step is not None:
                yield "slice", ast.Subscript(node.value, ast.Slice(lower, upper), ast.Load())
            if lower is None:
                part = ast.Slice(ast.Constant(1), upper, step)
                yield "slice", ast.Subscript(node.value, part, ast.Load())
        case ast.Name() | ast.BinOp() as place:
            yield "index", ast.Subscript(node.value, _plus_one(place), ast.Load())
            yield "index", ast.Subscript(node.value, _minus_one(place), ast.Load())


def _opposite(test: ast.expr) -> ast.expr | None:
    """The negated condition as people write it; None where an edit of the operator says it."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return None
        case ast.Compare(ops=[_]):
            return None
    return ast.UnaryOp(ast.Not(), test)


def _plus_one(node: ast.expr) -> ast.expr:
    return _shifted(node, 1)


def _minus_one(node: ast.expr) -> ast.expr:
    return _shifted(node, -1)


def _shifted(node: ast.expr, by: int) -> ast.expr:
    """`node + by`, a constant at its end worked out."""
    match node:
        case ast.Constant(value=int() as number):
            return _number(number + by)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return _number(by - number)
        case ast.BinOp(
            left=left, op=ast.Add() | ast.Sub() as op, right=ast.Constant(value=int() as last)
        ):
            total = (last if isinstance(op, ast.Add) else -last) + by
            if total == 0:
                return left
            sign = ast.Add() if total > 0 else ast.Sub()
            return ast.BinOp(left, sign, ast.Constant(abs(total)))
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _number(number: int) -> ast.expr:
    if number < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-number))
    return ast.Constant(number)


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.Call(func=ast.Name(id="str")):
            return True
        case ast.Call(func=ast.Attribute(attr="join" | "lower" | "upper" | "strip" | "replace")):
            return True
        case ast.BinOp(left=left, op=ast.Add()):
            return _is_text(left)
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
            return True
    return False


def _is_count(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=int()) | ast.Call(func=ast.Name(id="len")):
            return not (isinstance(node, ast.Constant) and isinstance(node.value, bool))
    return False


def _is_remainder(node: ast.expr) -> bool:
    """`n % 2`: its == 0 and <= 0 are the same."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)


def _is_list(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.ListComp, ast.Tuple))
