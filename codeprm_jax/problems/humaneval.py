"""HumanEval: 164 functions to write from a signature and a docstring.

The examples of the docstring become the public tests; the assertions of `check(candidate)`, one
test each, become the private ones, so that a pass rate exists and not only a pass.

A program for one of these problems is a complete module that defines the entry point. What the
prompt brings before the signature (imports, helper functions) is not added to it: a program that
needs them contains them, as `starter_code` does.
"""

from __future__ import annotations

import ast
import builtins
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from codeprm_jax.problems.docstring_examples import Example, find_examples
from codeprm_jax.problems.problem import PrivateTests, Problem, ProblemError, PublicProblem
from codeprm_jax.problems.records import field, load_each, parse_source
from sandbox_runner.types import CheckTest, FunctionTest, TestCase

logger = logging.getLogger(__name__)

SOURCE = "HumanEval"

# Docstring examples that the reference solution and the problem's own tests contradict:
# (problem, call, the docstring's result) and what is wrong. Such an example is no public test.
ERRATA: dict[tuple[str, str, str], str] = {
    ("HumanEval/47", "median([-10, 4, 6, 1000, 10, 20])", "15.0"): (
        "the median of these six numbers is (6 + 10) / 2 = 8.0, which the private tests expect"
    ),
    ("HumanEval/116", "sort_array([1, 5, 2, 3, 4])", "[1, 2, 3, 4, 5]"): (
        "not sorted by the number of ones in binary as the text asks; that gives [1, 2, 4, 3, 5]"
    ),
    ("HumanEval/116", "sort_array([-2, -3, -4, -5, -6])", "[-6, -5, -4, -3, -2]"): (
        "not sorted by the number of ones in binary; that gives [-4, -2, -6, -5, -3]"
    ),
    ("HumanEval/130", "tri(1)", "3"): (
        "the recurrence's first term; the function returns the list of terms"
    ),
    ("HumanEval/130", "tri(2)", "2"): (
        "a term of the recurrence; the function returns the list of terms"
    ),
    ("HumanEval/130", "tri(4)", "3"): (
        "a term of the recurrence; the function returns the list of terms"
    ),
    ("HumanEval/148", "bf('Earth', 'Mercury')", "'Venus'"): (
        'a missing comma: the text and the private tests ask for the tuple ("Venus",)'
    ),
}

LEAD_IN = "Write a Python module that defines `{name}` as described.\n\n"


def load(path: Path | str) -> list[Problem]:
    """The problems of a HumanEval file (.jsonl, plain or gzip), in its order.

    Raises:
      ProblemError: the file is missing, damaged or of another form, or a problem has no tests;
        names the file, the line and the remedy.
    """
    return load_each(path, _problem)


def _problem(record: dict[str, Any], where: str) -> Problem:
    task_id, prompt, entry_point, solution, check = (
        field(record, name, str, where, SOURCE)
        for name in ("task_id", "prompt", "entry_point", "canonical_solution", "test")
    )
    reference = prompt + solution
    module = parse_source(reference, f"{where}: prompt + canonical_solution of {task_id}")
    function = find_function(module, entry_point)
    if function is None:
        raise ProblemError(
            f"{where}: the solution of {task_id} does not define {entry_point!r}; "
            "the file is damaged, download it again"
        )
    public = PublicProblem(
        id=task_id,
        source="humaneval",
        statement=LEAD_IN.format(name=entry_point) + prompt.strip() + "\n",
        kind="function",
        entry_point=entry_point,
        starter_code=starter_code(module, function),
        tests=public_tests(task_id, entry_point, function, reference),
        licence="MIT",
    )
    private = PrivateTests(tuple(_private_tests(check, module, function, where, task_id)))
    return Problem(public, private, references=(reference,))


def find_function(module: ast.Module, name: str) -> ast.FunctionDef | None:
    """The function of that name at the top level of a module, the last one if there are several."""
    found = [s for s in module.body if isinstance(s, ast.FunctionDef) and s.name == name]
    return found[-1] if found else None


def starter_code(module: ast.Module, function: ast.FunctionDef) -> str:
    """What stands before the entry point, and its signature; docstrings are left out."""
    lines = []
    for statement in module.body[: module.body.index(function)]:
        if isinstance(statement, ast.FunctionDef) and ast.get_docstring(statement) is not None:
            helper = ast.parse(ast.unparse(statement)).body[0]
            assert isinstance(helper, ast.FunctionDef)
            helper.body = helper.body[1:] or [ast.Pass()]
            statement = helper
        lines.append(ast.unparse(statement) + "\n")
        if isinstance(statement, ast.FunctionDef):
            lines.append("\n")
    stub = ast.FunctionDef(
        name=function.name,
        args=function.args,
        body=[ast.Pass()],
        decorator_list=[],
        returns=function.returns,
        type_comment=None,
    )
    signature = ast.unparse(ast.fix_missing_locations(stub)).removesuffix("\n    pass")
    return "".join(lines) + signature + "\n"


def public_tests(
    task_id: str, entry_point: str, function: ast.FunctionDef, reference: str
) -> tuple[TestCase, ...]:
    """The examples of the docstring of `function`, which `reference` is the source of.

    Without those that ERRATA names for the task.
    """
    parameters = [a.arg for a in function.args.args]
    examples: list[Example] = []
    for example in find_examples(_docstring_source(function, reference), entry_point, parameters):
        key = (task_id, example.call(entry_point), repr(example.expected))
        if key in ERRATA:
            logger.debug("%s: example %s = %s left out: %s", *key, ERRATA[key])
        else:
            examples.append(example)
    return tuple(_public_test(f"public-{i}", example) for i, example in enumerate(examples))


def _public_test(test_id: str, example: Example) -> TestCase:
    if example.wrapper is None:
        return FunctionTest(test_id, example.args, example.expected)
    return CheckTest(test_id, f"assert {example.wrapper} == {example.expected!r}\n")


def _docstring_source(function: ast.FunctionDef, source: str) -> str:
    """The docstring as written: in examples, an escape such as \\n must stay one."""
    # HumanEval/115 has an import before its docstring.
    for statement in function.body[:2]:
        match statement:
            case ast.Expr(value=ast.Constant(value=str()) as constant):
                segment = ast.get_source_segment(source, constant) or ""
                quotes = segment[:3] if segment[:3] in ('"""', "'''") else segment[:1]
                return segment.removeprefix(quotes).removesuffix(quotes)
    return ""


def _private_tests(
    source: str, module: ast.Module, function: ast.FunctionDef, where: str, task_id: str
) -> Iterator[CheckTest]:
    """One test per assertion of `check`, or per statement that holds assertions.

    Each is self-contained: what it uses of the prompt, of the test module and of the statements
    before it stands in front. An assertion that does not use `candidate` says nothing about the
    program and is dropped.
    """
    test_module = parse_source(source, f"{where}: the test of {task_id}")
    check = find_function(test_module, "check")
    if check is None or not check.args.args:
        raise ProblemError(
            f"{where}: the test of {task_id} does not define check(candidate); "
            f"is this a {SOURCE} file?"
        )
    candidate = check.args.args[0].arg
    outside = [s for s in (*module.body, *test_module.body) if s is not check]
    before: list[ast.stmt] = []
    number = 0
    for statement in check.body:
        if not any(isinstance(node, ast.Assert) for node in ast.walk(statement)):
            if not _says_nothing(statement):
                before.append(statement)
            continue
        if candidate not in _names(statement):
            continue
        code = self_contained([*before, statement], outside, candidate)
        yield CheckTest(f"private-{number}", code)
        number += 1
    if number == 0:
        raise ProblemError(
            f"{where}: the test of {task_id} has no assertion about its candidate, so no program "
            "could be judged; add one or remove the line"
        )


def self_contained(body: Sequence[ast.stmt], outside: Sequence[ast.stmt], candidate: str) -> str:
    """Source of `body` after the statements of `outside` whose names it uses."""
    wanted = set().union(*(_names(s) for s in body))
    taken: set[int] = set()
    grown = True
    while grown:
        grown = False
        for index, statement in enumerate(outside):
            if index not in taken and wanted & _bound(statement):
                taken.add(index)
                wanted |= _names(statement)
                grown = True
    statements = [outside[i] for i in sorted(taken)] + list(body)
    lines = [ast.unparse(s) for s in statements]
    if any("random" in line for line in lines):
        # The same inputs on every run, so that a verdict can be repeated.
        lines.insert(0, "import random\nrandom.seed(0)")
    if candidate != "candidate":
        lines.insert(0, f"{candidate} = candidate")
    return "\n".join(lines) + "\n"


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Constant, ast.Name))
    )


def _names(node: ast.AST) -> set[str]:
    """The names that a piece of code reads, those of the language excepted."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - set(dir(builtins))


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module defines."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {a.asname or a.name.partition(".")[0] for a in aliases}
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            stores = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
            return {n.id for n in stores if isinstance(n.ctx, ast.Store)}
    return set()
