"""Solutions and starters that were written for other judges, as modules of their own.

Other judges import half the standard library before a solution, and call a method of `class
Solution`. Here a program is a complete module that defines the entry point, so the imports that are
missing are put in front. The methods of `Solution` become functions where they use `self` for
nothing but calls of each other: only then can steps be cut from what they do. Where they do more,
the class stays, and a function calls its method.
"""

from __future__ import annotations

import ast
import builtins
import re

from codeprm_jax.problems.problem import ProblemError
from codeprm_jax.problems.records import parse_source

# Where a name that solutions use without importing it comes from.
_HOMES = {
    "typing": "Any Callable Deque Dict FrozenSet Generator Iterable Iterator List Optional "
    "Sequence Set Tuple Union",
    "collections": "ChainMap Counter OrderedDict defaultdict deque",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "itertools": "accumulate chain combinations combinations_with_replacement count cycle groupby "
    "islice permutations product repeat zip_longest",
    "heapq": "heapify heappop heappush heappushpop heapreplace nlargest nsmallest",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "math": "ceil comb fabs factorial floor gcd inf isqrt log log2 sqrt",
    "copy": "copy deepcopy",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits",
    "fractions": "Fraction",
    "decimal": "Decimal",
}
_MODULES = frozenset({*_HOMES, "datetime", "json", "operator", "random", "re", "statistics"})
_MODULES |= {"sys", "time"}


def as_module(code: str, entry_point: str | None) -> str | None:
    """A solution as a module that defines `entry_point`, or as a whole program where that is None.

    None if it is no Python 3, or defines no such function nor such a method of `Solution`.
    """
    code = code.replace("\r\n", "\n").rstrip() + "\n"
    try:
        module = parse_source(code, "a solution")
    except ProblemError:
        return None
    imports = _missing_imports(module)
    if entry_point is not None and entry_point not in _defined(module.body):
        if not any(entry_point in _defined(s.body) for s in _solutions(module)):
            return None
        functions = _without_class(module)
        code = functions or (
            f"{code}\n\ndef {entry_point}(*args, **kwargs):\n"
            f"    return Solution().{entry_point}(*args, **kwargs)\n"
        )
    return imports + code


def function_starter(code: str, entry_point: str) -> str:
    """The signature of `entry_point` in starter code, as of a function, with what it imports.

    Methods of `Solution` lose their `self`. Empty where no signature can be read.
    """
    match = re.search(rf"def\s+{re.escape(entry_point)}\s*\(", code)
    if match is None:
        return ""
    for end in (m.end() for m in re.finditer(r":[ \t]*(?=#|\n|$)", code[match.start() :])):
        header = code[match.start() :][:end]
        try:
            function = parse_source(f"{header} pass\n", "a signature").body[0]
        except ProblemError:
            continue
        if not isinstance(function, ast.FunctionDef):
            return ""
        if function.args.args and function.args.args[0].arg == "self":
            del function.args.args[0]
        text = ast.unparse(function).removesuffix("\n    pass") + "\n"
        return _missing_imports(ast.Module([function], [])) + text
    return ""


def _solutions(module: ast.Module) -> list[ast.ClassDef]:
    return [s for s in module.body if isinstance(s, ast.ClassDef) and s.name == "Solution"]


def _without_class(module: ast.Module) -> str | None:
    """The module with the methods of `Solution` as functions; None where that is not the same."""
    place, solution = next(
        (i, s)
        for i, s in enumerate(module.body)
        if isinstance(s, ast.ClassDef) and s.name == "Solution"
    )
    methods = [s for s in solution.body if isinstance(s, ast.FunctionDef)]
    names = {m.name for m in methods}
    others = [s for s in module.body if s is not solution]
    others += [s for m in methods for s in m.body]
    uses = {n.id for n in ast.walk(module) if isinstance(n, ast.Name)} | {
        n.arg for n in ast.walk(module) if isinstance(n, ast.arg)
    }
    if (
        len(methods) < len(solution.body) - (ast.get_docstring(solution) is not None)
        or len(names) < len(methods)
        or solution.decorator_list
        or any(m.decorator_list or not m.args.args or m.args.posonlyargs for m in methods)
        or any(ast.unparse(base) != "object" for base in solution.bases)
        or solution.keywords
        # A name of a method that means something else somewhere, or the class by its name.
        or names & (uses | set(dir(builtins)) | _bound(others))
        or "Solution" in uses
    ):
        return None
    for method in methods:
        own = method.args.args.pop(0).arg
        if method.args.kwonlyargs or len(method.args.defaults) > len(method.args.args):
            return None
        if any(isinstance(n, ast.arg) and n.arg == own for n in ast.walk(method)):
            return None
        caller = _CallsByName(own, names)
        method.body = [caller.visit(s) for s in method.body]
        if any(isinstance(n, ast.Name) and n.id == own for n in ast.walk(method)):
            return None
    module.body[place : place + 1] = methods
    return ast.unparse(ast.fix_missing_locations(module)) + "\n"


class _CallsByName(ast.NodeTransformer):
    """`self.name` of a method becomes `name`."""

    def __init__(self, own: str, names: set[str]) -> None:
        self.own, self.names = own, names

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.visit(node.value)
        is_own = isinstance(value, ast.Name) and value.id == self.own
        if is_own and node.attr in self.names and isinstance(node.ctx, ast.Load):
            return ast.Name(node.attr, ast.Load())
        return ast.Attribute(value, node.attr, node.ctx)


def _bound(body: list[ast.stmt]) -> set[str]:
    """The names that definitions and imports bind, anywhere in a body."""
    names: set[str] = set()
    for node in (n for statement in body for n in ast.walk(statement)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {a.asname or a.name.partition(".")[0] for a in aliases}
    return names


def _defined(body: list[ast.stmt]) -> frozenset[str]:
    names: set[str] = set()
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {t.id for t in targets if isinstance(t, ast.Name)}
    return frozenset(names)


def _missing_imports(module: ast.Module) -> str:
    """Import lines for the names of the standard library that are read but bound nowhere."""
    read: set[str] = set()
    bound: set[str] = set(dir(builtins))
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.ImportFrom(names=[ast.alias(name="*")]):
                return ""  # whatever it brings, it was written to run as it is
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound |= {a.asname or a.name.partition(".")[0] for a in aliases}
    missing = read - bound
    attributes = {
        n.value.id
        for n in ast.walk(module)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }
    lines = [f"import {name}\n" for name in sorted(missing & _MODULES & attributes)]
    missing -= _MODULES & attributes
    for home, names in _HOMES.items():
        if found := sorted(missing & set(names.split())):
            lines.append(f"from {home} import {', '.join(found)}\n")
    return "".join(lines) + ("\n\n" if lines else "")
