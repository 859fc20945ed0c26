"""Python code in words: what the thought of a step says about its units.

Statements become sentences; small expressions stay code, in backticks, and the shapes that have a
name ("the sum of", "in descending order", "a list of … for each …") are said in words.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from codeprm_jax.problems.syntax_units import CONTINUATIONS, Unit

SHORT = 44
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "plus",
    ast.Sub: "minus",
    ast.Mult: "times",
    ast.Div: "divided by",
    ast.FloorDiv: "divided, rounding down, by",
    ast.Mod: "modulo",
    ast.Pow: "to the power of",
}
_COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Eq: "equals",
    ast.NotEq: "differs from",
    ast.Lt: "is less than",
    ast.LtE: "is at most",
    ast.Gt: "is greater than",
    ast.GtE: "is at least",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "is in",
    ast.NotIn: "is not in",
}
_UPDATES: dict[type[ast.operator], str] = {
    ast.Add: "add {value} to {name}",
    ast.Sub: "subtract {value} from {name}",
    ast.Mult: "multiply {name} by {value}",
    ast.Div: "divide {name} by {value}",
    ast.FloorDiv: "divide {name} by {value}, rounding down",
    ast.Mod: "replace {name} by its remainder modulo {value}",
    ast.Pow: "raise {name} to the power of {value}",
}
_OF_ONE = {
    "len": "the length of {0}",
    "sum": "the sum of {0}",
    "max": "the largest of {0}",
    "min": "the smallest of {0}",
    "abs": "the absolute value of {0}",
    "set": "the set of {0}",
    "list": "the list of {0}",
    "tuple": "the tuple of {0}",
    "str": "{0} as a string",
    "int": "{0} as an integer",
    "float": "{0} as a float",
    "reversed": "{0} in reverse order",
    "sorted": "{0} in ascending order",
}
_METHODS = {
    ("lower", 0): "{0} in lower case",
    ("upper", 0): "{0} in upper case",
    ("strip", 0): "{0} without surrounding white space",
    ("split", 0): "the words of {0}",
    ("split", 1): "{0} split at {1}",
    ("join", 1): "{1} joined with {0}",
    ("count", 1): "the number of times {1} occurs in {0}",
    ("copy", 0): "a copy of {0}",
}
_ACTIONS = {
    ("append", 1): "append {1} to {0}",
    ("add", 1): "add {1} to the set {0}",
    ("insert", 2): "insert {2} into {0} at position {1}",
    ("extend", 1): "extend {0} by {1}",
    ("remove", 1): "remove {1} from {0}",
    ("discard", 1): "discard {1} from {0}",
    ("pop", 0): "remove the last item of {0}",
    ("pop", 1): "remove item {1} of {0}",
    ("sort", 0): "sort {0} in ascending order",
    ("reverse", 0): "reverse {0} in place",
    ("update", 1): "update {0} with {1}",
    ("clear", 0): "empty {0}",
}


@dataclass
class _Item:
    """A unit and the units that stand in its block."""

    unit: Unit
    children: list[_Item] = field(default_factory=list)


def describe(units: Sequence[Unit], enclosing: Sequence[Unit], depth: int) -> str:
    """One or more sentences for consecutive units.

    Args:
      units: the units of a step.
      enclosing: the headers that the first unit stands under, from `enclosing_headers`.
      depth: that of the function's body; what stands deeper is told with its surroundings.
    """
    sentences: list[str] = []
    start = 0
    while start < len(units):
        level = units[start].depth
        end = start + 1
        while end < len(units) and units[end].depth >= level:
            end += 1
        phrases = _phrases(_nest(units[start:end]), 0)
        around = [h for h in enclosing if depth <= h.depth < level]
        again = start > 0
        if around and units[start].role not in CONTINUATIONS:
            text = "; ".join(phrases)
            sentences.append(f"{_surroundings(around[-1], again)}, {text}")
        elif around:
            opening = _surroundings(around[-1], again)
            sentences.append(f"{opening}, {'; '.join(phrases)}")
        else:
            sentences += phrases
        start = end
    return " ".join(_sentence(s) for s in sentences)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _surroundings(header: Unit, again: bool) -> str:
    node = header.node
    still = "still " if again else ""
    match header.role, node:
        case "for", ast.For(target=target):
            return f"{still}inside the loop over {_code(target)}"
        case "while", ast.While(test=test):
            if isinstance(test, ast.Constant) and test.value:
                return f"{still}inside the endless loop"
            return f"{still}inside the loop that runs while {condition(test)}"
        case (("if" | "elif"), ast.If(test=test)):
            return f"{still}in the case that {condition(test)}"
        case "else", ast.If():
            return f"{still}in the remaining case"
        case (("def" | "class"), (ast.FunctionDef() | ast.ClassDef())):
            return f"{still}inside `{node.name}`"
        case "except", ast.ExceptHandler(type=kind):
            return f"{still}when {'an error' if kind is None else _code(kind)} was caught"
        case "with", ast.With():
            return f"{still}inside the `with` block"
        case "try", _:
            return f"{still}inside the `try` block"
    return f"{still}in that block"


def _nest(units: Sequence[Unit]) -> list[_Item]:
    """The tree of a run of units none of which stands above the first."""
    root: list[_Item] = []
    stack: list[tuple[int, list[_Item]]] = [(-1, root)]
    for unit in units:
        while stack[-1][0] >= unit.depth:
            stack.pop()
        item = _Item(unit)
        stack[-1][1].append(item)
        stack.append((unit.depth, item.children))
    return root


_JOINTS = ("; ", ", then ", " and then ")


def _phrases(items: Sequence[_Item], level: int) -> list[str]:
    """One phrase a statement; the branches of a condition are one together."""
    phrases: list[str] = []
    after_block = False
    for item in items:
        if item.unit.role == "simple" and isinstance(item.unit.node, ast.Pass) and len(items) > 1:
            continue
        phrase = _compound(item, level) if item.unit.is_header else _simple(item.unit.node)
        if item.unit.role in CONTINUATIONS and phrases:
            phrases[-1] += f"; {phrase}"
        elif after_block and level > 0:
            phrases.append(f"after that, {phrase}")
        else:
            phrases.append(phrase)
        after_block = item.unit.is_header
    return phrases


def _compound(item: _Item, level: int) -> str:
    inner = _phrases(item.children, level + 1)
    joint = _JOINTS[min(level, len(_JOINTS) - 1)]
    body = joint.join(inner)
    colon = ":" if len(inner) > 1 else ","
    opening = _opening(item.unit)
    if not body:  # the block is in the next step
        return opening + (" as follows" if item.unit.role in ("for", "while", "def") else "")
    if item.unit.role in ("def", "class", "try"):
        colon = ":"
    return f"{opening}{colon} {body}"


def _opening(unit: Unit) -> str:
    node = unit.node
    match unit.role, node:
        case "if", ast.If(test=test):
            return f"if {condition(test)}"
        case "elif", ast.If(test=test):
            return f"otherwise, if {condition(test)}"
        case "else", ast.For() | ast.While():
            return "when the loop ends without a break"
        case "else", ast.Try():
            return "when no error occurs"
        case "else", _:
            return "otherwise"
        case "for", ast.For(target=target, iter=iterable):
            return _rounds(target, iterable)
        case "while", ast.While(test=ast.Constant(value=truth)) if truth:
            return "repeat without end"
        case "while", ast.While(test=test):
            return f"while {condition(test)}"
        case "try", _:
            return "try"
        case "except", ast.ExceptHandler(type=kind):
            return f"on {'any error' if kind is None else _code(kind)}"
        case "finally", _:
            return "in any case afterwards"
        case "with", ast.With(items=contexts):
            return f"with {', '.join(_code(c) for c in contexts)}"
        case "def", ast.FunctionDef(name=name, args=args):
            return f"define the helper `{name}({ast.unparse(args)})`"
        case "class", ast.ClassDef(name=name):
            return f"define the class `{name}`"
    return _code(node)


def _rounds(target: ast.expr, iterable: ast.expr) -> str:
    match iterable:
        case ast.Call(func=ast.Name(id="range")):
            return f"loop over {_code(target)} in {_code(iterable)}"
        case ast.Call(func=ast.Name(id="enumerate"), args=[items]):
            if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                place, item = map(_code, target.elts)
                return f"for each {item} of {value(items)}, with its index {place}"
    return f"for each {_code(target)} in {value(iterable)}"


def _simple(node: ast.AST) -> str:
    """An imperative phrase for a simple statement, without a full stop."""
    match node:
        case ast.Return(value=None):
            return "return nothing"
        case ast.Return(value=ast.expr() as result):
            return f"return {value(result)}"
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(
            names
        ) == len(values):
            pairs = [f"{_code(n)} to {value(v, 1)}" for n, v in zip(names, values, strict=True)]
            return f"set {_listed(pairs)} at once"
        case ast.Assign(targets=targets, value=new):
            return _assignment(_listed([_code(t) for t in targets]), new)
        case ast.AnnAssign(target=target, value=ast.expr() as new):
            return _assignment(_code(target), new)
        case ast.AugAssign(target=target, op=op, value=change) if type(op) in _UPDATES:
            return _UPDATES[type(op)].format(value=value(change), name=_code(target))
        case ast.AugAssign():
            return f"update by {_code(node)}"
        case ast.Expr(value=ast.Call() as call):
            return _action(call)
        case ast.Expr(value=ast.Yield(value=ast.expr() as item)):
            return f"yield {value(item)}"
        case ast.Expr(value=ast.YieldFrom(value=items)):
            return f"yield every item of {value(items)}"
        case ast.Break():
            return "leave the loop"
        case ast.Continue():
            return "go on with the next round"
        case ast.Pass():
            return "do nothing"
        case ast.Assert(test=test):
            return f"require that {condition(test)}"
        case ast.Raise(exc=ast.expr() as error):
            return f"raise {_code(error)}"
        case ast.Delete(targets=targets):
            return f"delete {_listed([_code(t) for t in targets])}"
        case ast.Import() | ast.ImportFrom():
            names = [f"`{a.name}`" for a in node.names]
            origin = f" from `{node.module}`" if isinstance(node, ast.ImportFrom) else ""
            return f"import {_listed(names)}{origin}"
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return f"use {_listed([f'`{n}`' for n in names])} of the surrounding scope"
    return f"run {_code(node)}"


def _assignment(names: str, new: ast.expr) -> str:
    match new:
        case ast.List(elts=[] | [ast.Constant()]) | ast.Dict(keys=[] | [ast.Constant()]):
            return f"start {names} as {value(new)}"
        case ast.Call(func=ast.Name(id="set"), args=[]):
            return f"start {names} as {value(new)}"
        case ast.Lambda(args=args, body=body):
            return f"let {names} be a function of `{ast.unparse(args)}` that gives {value(body)}"
    return f"set {names} to {value(new)}"


def _action(call: ast.Call) -> str:
    match call:
        case ast.Call(func=ast.Attribute(value=owner, attr=name), args=args, keywords=[]):
            if (name, len(args)) in _ACTIONS:
                if name == "insert" and isinstance(args[0], ast.Constant) and args[0].value == 0:
                    return f"insert {value(args[1])} at the front of {_code(owner)}"
                parts = [_code(owner), *(value(a) for a in args)]
                return _ACTIONS[name, len(args)].format(*parts)
        case ast.Call(func=ast.Name(id="print"), args=args):
            return f"print {_listed([value(a) for a in args]) or 'an empty line'}"
    return f"call {_code(call)}"


def condition(test: ast.expr, nested: int = 0) -> str:
    """A condition, as what follows "if"."""
    source = ast.unparse(test)
    if len(source) <= SHORT or nested > 1:
        return _code(test)
    match test:
        case ast.BoolOp(op=op, values=values):
            word = " and " if isinstance(op, ast.And) else " or "
            return word.join(condition(v, nested + 1) for v in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return f"it is not so that {condition(operand, nested + 1)}"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return f"{value(left, 1)} {_COMPARISON[type(op)]} {value(right, 1)}"
        case ast.Call(func=ast.Name(id="any" | "all")):
            return value(test, nested)
    return _code(test)


def value(expression: ast.expr, nested: int = 0) -> str:
    """An expression as a noun phrase; code in backticks below the second level."""
    match expression:
        case ast.Constant(value=""):
            return "the empty string"
        case ast.Constant(value=" "):
            return "a space (`' '`)"
        case ast.List(elts=[]):
            return "an empty list"
        case ast.Dict(keys=[]):
            return "an empty dictionary"
        case ast.Call(func=ast.Name(id="set"), args=[], keywords=[]):
            return "an empty set"
    if nested > 1:
        return _code(expression)
    inner = nested + 1
    match expression:
        case ast.Call(func=ast.Name(id="any" | "all" as name), args=[argument], keywords=[]):
            if isinstance(argument, (ast.GeneratorExp, ast.ListComp)):
                some = "some" if name == "any" else "every"
                return (
                    f"whether {condition(argument.elt, inner)} for {some} "
                    f"{_generators(argument.generators, inner, each=False)}"
                )
        case ast.Call(func=ast.Name(id="sorted"), args=[items], keywords=[_, *_] as options):
            return value(items, inner) + _order(options)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if (
            name in _OF_ONE and not isinstance(argument, (ast.Constant, ast.Starred))
        ):
            return _OF_ONE[name].format(value(argument, inner))
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=[items], keywords=[option]):
            if option.arg == "key":
                extreme = "largest" if name == "max" else "smallest"
                return f"the item of {value(items, inner)} with the {extreme} {_key(option.value)}"
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=[_, _, *_], keywords=[]):
            extreme = "larger" if name == "max" else "smaller"
            if len(expression.args) > 2:
                extreme = "largest" if name == "max" else "smallest"
            return f"the {extreme} of {_listed([value(a, inner) for a in expression.args])}"
        case ast.Call(func=ast.Attribute(value=owner, attr=name), args=args, keywords=[]):
            if name == "join" and isinstance(owner, ast.Constant) and owner.value == "":
                if len(args) == 1:
                    return f"{value(args[0], inner)} joined into one string"
            elif (name, len(args)) in _METHODS:
                parts = [value(owner, inner), *(value(a, inner) for a in args)]
                return _METHODS[name, len(args)].format(*parts)
        case ast.ListComp(elt=element, generators=generators):
            return f"the list of {value(element, inner)} for {_generators(generators, inner)}"
        case ast.GeneratorExp(elt=element, generators=generators):
            return f"{value(element, inner)} for {_generators(generators, inner)}"
        case ast.SetComp(elt=element, generators=generators):
            return f"the set of {value(element, inner)} for {_generators(generators, inner)}"
        case ast.DictComp(key=key, value=item, generators=generators):
            pair = f"{value(key, 2)} to {value(item, 2)}"
            return f"a dictionary from {pair} for {_generators(generators, inner)}"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            then, otherwise = value(body, inner), value(orelse, inner)
            return f"{then} if {condition(test, inner)}, otherwise {otherwise}"
        case ast.Subscript(value=items, slice=ast.Slice() as part):
            if ast.unparse(part) == "::-1":
                return f"{value(items, inner)} reversed"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            formatting = isinstance(left, (ast.Constant, ast.JoinedStr)) and isinstance(op, ast.Mod)
            if len(ast.unparse(expression)) > SHORT and not formatting:
                return f"{value(left, inner)} {_ARITHMETIC[type(op)]} {value(right, inner)}"
        case ast.BoolOp() | ast.Compare():
            if len(ast.unparse(expression)) > SHORT:
                return f"whether {condition(expression, nested)}"
        case ast.Tuple(elts=elements) if 0 < len(elements) < 5:
            if len(ast.unparse(expression)) > SHORT:
                return f"the tuple of {_listed([value(e, inner) for e in elements])}"
    return _code(expression)


def _order(options: Sequence[ast.keyword]) -> str:
    """ " in descending order", " ordered by …"."""
    words = " in ascending order"
    key = ""
    for option in options:
        match option:
            case ast.keyword(arg="reverse", value=ast.Constant(value=reverse)):
                words = " in descending order" if reverse else words
            case ast.keyword(arg="reverse", value=reverse):
                words = f" in an order that is descending if {condition(reverse)}"
            case ast.keyword(arg="key", value=by):
                key = f" by {_key(by)}"
    return words + key


def _key(by: ast.expr) -> str:
    if isinstance(by, ast.Lambda):
        return f"{value(by.body, 2)} of each `{ast.unparse(by.args)}`"
    return _code(by)


def _generators(generators: Sequence[ast.comprehension], nested: int, each: bool = True) -> str:
    parts: list[str] = []
    for generator in generators:
        items = value(generator.iter, nested)
        text = f"{'each ' if each or parts else ''}{_code(generator.target)} in {items}"
        if generator.ifs:
            tests = " and ".join(condition(test, nested) for test in generator.ifs)
            text += f" where {tests}"
        parts.append(text)
    return " and ".join(parts)


def _listed(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _code(node: ast.AST) -> str:
    """Source in backticks, on one line."""
    source = ast.unparse(ast.fix_missing_locations(node))
    source = " ".join(source.split("\n")) if "\n" in source else source
    return f"`{source}`"
