"""The tests of EvalPlus's data: from a check program, or from inputs and a solution to run.

A check program holds `inputs`, `results` (or a function `ref_func`), and a loop that hands each
pair to `assertion`. Where that compares by == and, for floats, within a tolerance, each is made
a call whose value is compared outside the program's process; any other loop becomes one piece of
test code for each input, with what it uses of the program in front.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from codeprm_jax.problems.contest import UnusableError
from codeprm_jax.problems.humaneval import find_function, self_contained
from codeprm_jax.problems.problem import ProblemError
from codeprm_jax.problems.records import parse_source
from sandbox_runner import codec
from sandbox_runner.types import CheckTest, FunctionTest, Limits, TestCase
from sandbox_runner.values import returned_values
from sandbox_runner.worker import Worker

# EvalPlus's tolerances for floats where a problem names none.
ATOL, RTOL = 1e-6, 1e-7

# For the canonical solutions: some inputs are large.
RUN_LIMITS = Limits(cpu_s=10.0, wall_s=30.0, memory_mib=1024, output_kib=2048)


@dataclass(frozen=True)
class Suite:
    """Tests and how their values are compared.

    Attributes:
      tests: in their order, with ids "private-0" and so on.
      comparator: see `sandbox_runner.types.Job`.
      cpu_s: of the slowest call of the canonical solution; None where it was not run.
      dropped: inputs without an expected value.
    """

    tests: tuple[TestCase, ...]
    comparator: str | None = None
    cpu_s: float | None = None
    dropped: int = 0


def from_check_program(source: str, entry_point: str) -> Suite:
    """The tests of a check program.

    Raises:
      UnusableError: a program of another form, or with values that cannot be written down.
    """
    try:
        module = parse_source(source, "the test")
    except ProblemError as error:
        raise UnusableError(str(error).partition(";")[0]) from None
    check = find_function(module, "check")
    if check is not None and len(check.args.args) == 1:
        called, body = check.args.args[0].arg, check.body
    else:
        called, body = entry_point, module.body
    inputs, results = _listed(body, "inputs"), _listed(body, "results")
    loop = next((s for s in body if isinstance(s, ast.For)), None)
    if inputs is None or loop is None:
        raise UnusableError("a test that is no loop over a list of inputs")
    if results is not None and len(results) != len(inputs):
        raise UnusableError("a test with more inputs than results, or fewer")
    helpers = [s for s in module.body if s is not check and _is_helper(s)]
    names = [n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)]
    if len(names) != (2 if results is None else 3):
        raise UnusableError("a test whose loop has other variables than index, input and result")
    tolerance = _tolerance(loop, called, names, helpers)
    if results is None or tolerance is None:
        return Suite(tuple(_check_tests(inputs, results, loop, names, helpers, called)))
    pairs = [(_value(i), _value(r)) for i, r in zip(inputs, results, strict=True)]
    return Suite(_function_tests(pairs), float_comparator([r for _, r in pairs], tolerance))


def from_solution(
    solution: str,
    entry_point: str,
    inputs: Sequence[Any],
    atol: float,
    worker: Worker,
    relation: str = "==",
) -> Suite:
    """Tests whose expected values are what `solution` returns, run in the sandbox.

    Args:
      inputs: lists of arguments.
      atol: absolute tolerance for floats; 0: that of EvalPlus.
      relation: "==", "set" (compared as sets) or "truth" (only whether the result is true).

    Raises:
      UnusableError: an input is no list of plain values, or no call returns a plain value.
    """
    for arguments in inputs:
        if not isinstance(arguments, (list, tuple)):
            raise UnusableError("an input that is no list of arguments")
        try:
            codec.dumps(codec.encode(list(arguments)))
        except codec.CodecError as error:
            raise UnusableError(f"an input that is {error}") from None
    if not inputs:
        raise UnusableError("no inputs")
    name = entry_point
    if relation == "truth":
        name = "truth_of_result"
        solution += f"\n\ndef {name}(*args):\n    return bool({entry_point}(*args))\n"
    found = returned_values(solution, name, [tuple(i) for i in inputs], RUN_LIMITS, worker)
    pairs = [(i, f.value) for i, f in zip(inputs, found, strict=True) if f.returned]
    if not pairs:
        raise UnusableError(f"a canonical solution that fails ({found[0].result.verdict})")
    dropped = len(inputs) - len(pairs)
    cpu_s = max(f.result.cpu_s for f in found if f.returned)
    if relation != "==":
        return Suite(tuple(_related(pairs, relation)), None, cpu_s, dropped)
    comparator = float_comparator([r for _, r in pairs], atol)
    return Suite(_function_tests(pairs), comparator, cpu_s, dropped)


def float_comparator(expected: Sequence[Any], atol: float) -> str | None:
    """EvalPlus's rule: == is enough; floats, and flat lists of them, may differ by a tolerance."""
    if atol <= 0 and not any(map(_is_floats, expected)):
        return None
    return f"float:{atol if atol > 0 else ATOL!r},{RTOL!r}"


def retyped(value: Any, examples: Sequence[Any]) -> Any:
    """A value that JSON made lists of, with the types that examples of it have.

    Tuples, sets, complex numbers and integer keys of dicts come back where all examples have them
    at the same place; elements of a container are alike unless all examples have one length.

    Raises:
      UnusableError: examples of both kinds.
    """
    if isinstance(value, str) and (scalars := {type(e) for e in examples} & {str, complex}):
        if len(scalars) > 1:
            raise UnusableError("arguments that are of several types in its own examples")
        return complex(value) if scalars == {complex} else value
    if isinstance(value, dict):
        dicts = [e for e in examples if isinstance(e, dict)]
        if dicts and all(type(k) is int for d in dicts for k in d):
            value = {int(k): v for k, v in value.items()}
        inner = [v for d in dicts for v in d.values()]
        return {k: retyped(v, inner) for k, v in value.items()}
    if not isinstance(value, list):
        return value
    containers = [e for e in examples if type(e) in (list, tuple, set, frozenset)]
    kinds = {type(e) for e in containers}
    if len(kinds) > 1:
        raise UnusableError("arguments that are of several types in its own examples")
    try:
        items = [retyped(v, [x for e in containers for x in e]) for v in value]
    except UnusableError:
        if {len(e) for e in containers} != {len(value)} or kinds & {set, frozenset}:
            raise
        items = [retyped(v, [e[i] for e in containers]) for i, v in enumerate(value)]
    try:
        return kinds.pop()(items) if kinds else items
    except TypeError:
        raise UnusableError("arguments that do not fit the types in its own examples") from None


def literal(node: ast.expr) -> Any:
    """The value of a literal, in which `inf` and `nan` may stand. Raises ValueError."""
    try:
        return ast.literal_eval(_Infinities().visit(copy.deepcopy(node)))
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from error


class _Infinities(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(getattr(math, node.id)) if node.id in ("inf", "nan") else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        known = isinstance(node.value, ast.Name) and node.value.id in ("math", "np", "numpy")
        return self.visit_Name(ast.Name(node.attr)) if known else node


def _listed(body: Sequence[ast.stmt], name: str) -> list[ast.expr] | None:
    """The elements of the list that is assigned to `name`."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.List(elts=elements)):
                if target == name:
                    return elements
    return None


def _is_helper(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name not in ("inputs", "results")
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
            return True
    return False


def _tolerance(
    loop: ast.For, called: str, names: Sequence[str], helpers: Sequence[ast.stmt]
) -> float | None:
    """The tolerance of a loop that is `assertion(f(*input), result, tolerance)`; else None."""
    match loop.body:
        case [
            ast.Expr(
                value=ast.Call(
                    func=ast.Name(id=assertion),
                    args=[
                        ast.Call(
                            func=ast.Name(id=function),
                            args=[ast.Starred(value=ast.Name(id=given))],
                            keywords=[],
                        ),
                        ast.Name(id=wanted),
                        ast.Constant(value=(int() | float()) as tolerance),
                    ],
                    keywords=[],
                )
            )
        ] if function == called and [given, wanted] == list(names[-2:]):
            found = find_function(ast.Module(list(helpers), []), assertion)
            if found is not None and _compares_plainly(found):
                return float(tolerance)
    return None


def _compares_plainly(assertion: ast.FunctionDef) -> bool:
    """Whether it starts from `x = out == exp` and changes neither: not as sets, not by truth."""
    parameters = [a.arg for a in assertion.args.args]
    stored = [
        n.id
        for n in ast.walk(assertion)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]
    match assertion.body:
        case [
            ast.Assign(
                targets=[ast.Name(id=exact)],
                value=ast.Compare(
                    left=ast.Name(id=left), ops=[ast.Eq()], comparators=[ast.Name(id=right)]
                ),
            ),
            *_,
        ]:
            return [left, right] == parameters[:2] and set(stored) <= {exact, *parameters[2:]}
    return False


def _check_tests(
    inputs: Sequence[ast.expr],
    results: Sequence[ast.expr] | None,
    loop: ast.For,
    names: Sequence[str],
    helpers: Sequence[ast.stmt],
    called: str,
) -> list[CheckTest]:
    tests = []
    for index, given in enumerate(inputs):
        values = [ast.Constant(index), given]
        if results is not None:
            values.append(results[index])
        assigned: list[ast.stmt] = [
            ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)
            for name, value in zip(names, values, strict=True)
        ]
        code = self_contained([*assigned, *loop.body], helpers, called)
        tests.append(CheckTest(f"private-{index}", code))
    return tests


def _function_tests(pairs: Sequence[tuple[Any, Any]]) -> tuple[TestCase, ...]:
    tests = [FunctionTest(f"private-{i}", tuple(a), r) for i, (a, r) in enumerate(pairs)]
    try:
        for test in tests:
            codec.dumps(test.to_json())
    except codec.CodecError as error:
        raise UnusableError(f"a value that is {error}") from None
    return tuple(tests)


_RELATED: dict[str, Callable[[str, Any], str]] = {
    "set": lambda call, value: f"assert set({call}) == {set(value)!r}\n",
    "truth": lambda call, value: f"assert {'' if value else 'not '}{call}\n",
}


def _related(pairs: Sequence[tuple[Any, Any]], relation: str) -> list[CheckTest]:
    tests = []
    for index, (arguments, value) in enumerate(pairs):
        call = f"candidate({', '.join(map(repr, arguments))})"
        try:
            code = _RELATED[relation](call, value)
        except (TypeError, ValueError) as error:
            raise UnusableError(f"a result that is no set: {error}") from None
        tests.append(CheckTest(f"private-{index}", code))
    return tests


def _value(node: ast.expr) -> Any:
    try:
        return literal(node)
    except ValueError:
        raise UnusableError("a test with a value that is no literal") from None


def _is_floats(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(v, float) for v in value)
    return isinstance(value, float)
