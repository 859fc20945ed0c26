"""Solutions and starters that were written for other judges, as modules of their own.

Other judges import half the standard library before a solution, and call a method of `class
Solution`. Here a program is a complete module that defines the entry point, so the imports that are
missing are put in front, and the method gets a function of its name.
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
        code += (
            f"\n\ndef {entry_point}(*args, **kwargs):\n"
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
