from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.problems.syntax_decompose import decompose, replaced
from codeprm_jax.problems.syntax_units import cut, enclosing_headers, flatten, source_of

EVERYTHING = textwrap.dedent(
    '''\
    def f(a, *b, c=1, **d):
        global g
        with open(a) as file, open(c):
            text = f"{a!r:>{c}} \\n 'x'"
        try:
            for i, j in enumerate(b):
                if i:
                    continue
                elif j and (not a):
                    break
                else:
                    if c:
                        pass
                    else:
                        del d[i]
            else:
                a = """one
                two"""
        except (ValueError, KeyError) as error:
            raise TypeError from error
        except OSError:
            pass
        else:
            a += 1
        finally:
            a = b
        while True:

            @decorator(1)
            def helper(x: int=2) -> int:
                nonlocal a
                return lambda y: (yield x)

            class Inner(Base, metaclass=M):
                z: int = 3
        match a:
            case [1, *rest] if rest:
                return rest
            case {'k': v}:
                return v
        async def later():
            async for q in r:
                await q
        return [x for x in a if x if c]
    '''
)


def _function(source: str) -> ast.FunctionDef:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    return function


def test_units_of_every_statement_are_its_source_again() -> None:
    function = _function(EVERYTHING)
    units = flatten([function], 0)
    assert ast.dump(ast.parse(source_of(units))) == ast.dump(ast.Module([function], []))


def test_headers_are_units_of_their_own() -> None:
    units = flatten(_function(EVERYTHING).body, 1)
    roles = [unit.role for unit in units]
    for role in ("with", "try", "for", "if", "elif", "else", "except", "finally", "while", "def"):
        assert role in roles
    for index, unit in enumerate(units):
        headers = enclosing_headers(units, index)
        assert [h.depth for h in headers] == list(range(1, unit.depth))
        if unit.is_header:
            assert units[index + 1].depth == unit.depth + 1


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(
            st.sampled_from(
                ["simple", "simple", "if", "ifelse", "for"] if depth < 3 else ["simple"]
            )
        )
        if kind == "simple":
            lines.append(draw(st.sampled_from(["a = 1", "b += a", "xs.append(a)", "return b"])))
            continue
        header = "for i in xs:" if kind == "for" else "if a < b:"
        lines += [header, *("    " + line for line in draw(blocks(depth + 1)))]
        if kind == "ifelse":
            lines += ["else:", *("    " + line for line in draw(blocks(depth + 1)))]
    return lines


@settings(max_examples=60)
@given(blocks())
def test_cuts_are_consecutive_and_whole(lines: list[str]) -> None:
    body = ast.parse("def f():\n" + "".join(f"    {line}\n" for line in lines)).body[0].body  # type: ignore[attr-defined]
    units = flatten(body, 1)
    runs = cut(units)
    assert runs[0][0] == 0 and runs[-1][1] == len(units)
    assert all(a < b for a, b in runs)
    assert [b for _, b in runs[:-1]] == [a for a, _ in runs[1:]]
    assert len(runs) == 1 if len(units) == 1 else 2 <= len(runs) <= 5
    fragments = "".join(source_of(units[a:b]) for a, b in runs)
    assert ast.dump(ast.parse("def f():\n" + fragments)) == ast.dump(
        ast.parse("def f():\n" + "".join(f"    {line}\n" for line in lines))
    )


@pytest.mark.parametrize(
    ("expression", "statements"),
    [
        ("len(set(s.lower()))", ["value = set(s.lower())", "return len(value)"]),
        ("s.lower().split()", ["value = s.lower()", "return value.split()"]),
        ("f(1) < g(2)", ["value = f(1)", "return value < g(2)"]),
        ("value < g(2)", ["value_2 = g(2)", "return value < value_2"]),
        ("f(1) and g(2)", ["value = f(1)", "return value and g(2)"]),
        ("1 if s else 2", ["if s:\n    return 1", "return 2"]),
        ("[x + 1 for x in s if x]",
         ["result = []", "for x in s:\n    if x:\n        result.append(x + 1)", "return result"]),
        ("sum((x for x in s))",
         ["values = []", "for x in s:\n    values.append(x)", "return sum(values)"]),
        ("any((x > 1 for x in s))",
         ["for x in s:\n    if x > 1:\n        return True", "return False"]),
        ("all((x > 1 for x in s))",
         ["for x in s:\n    if not x > 1:\n        return False", "return True"]),
        # What is short, lazy or has a scope of its own stays as it is.
        ("s + 1", ["return s + 1"]),
        ("s and f(2)", ["return s and f(2)"]),
        ("any([x > 1 for x in s])",
         ["values = []", "for x in s:\n    values.append(x > 1)", "return any(values)"]),
        ("next((x for x in s))", ["return next((x for x in s))"]),
        ("f(*g(1), h(2))", ["return f(*g(1), h(2))"]),
        ("lambda: f(g(1))", ["return lambda: f(g(1))"]),
    ],
)  # fmt: skip
def test_decomposition(expression: str, statements: list[str]) -> None:
    body = _function(f"def f(s):\n    return {expression}\n").body
    found = decompose(
        body, {"s", "f", "g", "h", "x", *(["value"] if "value" in expression else [])}
    )
    texts = [ast.unparse(ast.fix_missing_locations(s)) for s in found]
    assert texts == statements


@pytest.mark.parametrize(
    "expression",
    [
        "sorted(set(s))[::-1]", "[x * y for x in s for y in s]", "sum(x for x in s if x % 2)",
        "all(s[i] < s[i + 1] for i in range(len(s) - 1))", "any(x == 3 for x in s)",
        "max(s) - min(s)", "not any(x > 3 for x in s)", "(len(s), sum(s))", "-abs(s[0] - 9)",
        "[s for s in s if s]", "{x: s.count(x) for x in sorted(s)}", "len([x for x in s]) > 2 > 1",
        "''.join(str(x) for x in s)", "s[0] if s else None", "[x for x in (y for y in s)]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("argument", [[3, 1, 2], [1, 2, 2, 5], [7]])
def test_decomposition_changes_no_result(expression: str, argument: list[int]) -> None:
    function = _function(f"def f(s):\n    return {expression}\n")
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
    body = decompose(function.body, names)
    longer = "def f(s):\n" + source_of(flatten(body, 1))
    results = []
    for source in (ast.unparse(function), longer):
        scope: dict[str, object] = {}
        exec(source, scope)
        results.append(scope["f"](list(argument)))  # type: ignore[operator]
    assert results[0] == results[1]


def test_replaced_leaves_the_original_alone() -> None:
    tree = ast.parse("a + b * a", mode="eval").body
    assert isinstance(tree, ast.BinOp)
    before = ast.dump(tree)
    changed = replaced(tree, tree.right, ast.Constant(3))
    assert ast.unparse(changed) == "a + 3"
    assert ast.dump(tree) == before
