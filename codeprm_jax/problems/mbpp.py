"""MBPP: short Python functions to write from a sentence and an example.

The first assertion of a problem is public: it goes into the statement, as only it tells the
function's name. The other assertions and the challenge tests are private.

Left out, with a warning that names them: problems with fewer than two assertions (nothing would
be left to decide), and problems whose tests cannot be told apart from the solution or its values
not be written down, because only plain data crosses to a judged program: 601 passes `Pair` objects
and 927 `Node` trees, classes that the solution itself defines; 533 passes the types `int`, `str`
and `float`.

Every reference solution of the other problems of the train, validation and prompt splits passes
its tests.
"""

from __future__ import annotations

import ast
import builtins
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codeprm_jax.problems.problem import PrivateTests, Problem, ProblemError, PublicProblem
from codeprm_jax.problems.records import field, load_each, parse_source
from sandbox_runner.types import CheckTest, FunctionTest, TestCase

logger = logging.getLogger(__name__)

SOURCE = "MBPP"


def load(path: Path | str) -> list[Problem]:
    """The problems of an MBPP file (.jsonl or .json, plain or gzip), in its order.

    The sanitized edition, with `prompt` in place of `text`, is read too. Problems that cannot be
    judged are left out, and a warning names each with the reason.

    Raises:
      ProblemError: the file is missing, damaged or of another form, a problem has no tests, or
        its solution does not define what they call; names the file, the line and the remedy.
    """
    excluded: list[str] = []
    problems = load_each(path, lambda record, where: _problem(record, where, excluded))
    if excluded:
        logger.warning(
            "%s: %d of %d problems left out: %s",
            path,
            len(excluded),
            len(excluded) + len(problems),
            "; ".join(excluded),
        )
    return problems


def _problem(record: dict[str, Any], where: str, excluded: list[str]) -> Problem | None:
    task_id = field(record, "task_id", int, where, SOURCE)
    text = field(record, "text" if "text" in record else "prompt", str, where, SOURCE)
    code = field(record, "code", str, where, SOURCE).replace("\r\n", "\n")
    if not code.endswith("\n"):
        code += "\n"
    asserts = _strings(record, "test_list", where)
    asserts += _strings(record, "challenge_test_list", where, optional=True)
    setup = "\n".join(_strings(record, "test_imports", where, optional=True))
    if "test_setup_code" in record:
        setup = "\n".join(
            filter(None, (setup, field(record, "test_setup_code", str, where, SOURCE)))
        )
    setup = setup.replace("\r\n", "\n")
    problem_id = f"MBPP/{task_id}"
    if not asserts:
        raise ProblemError(
            f"{where}: {problem_id} has no tests, so no program could be judged on it; "
            "add some under 'test_list' or remove the line"
        )
    trees = [
        parse_source(a, f"{where}: assertion {i} of {problem_id}") for i, a in enumerate(asserts)
    ]
    module = parse_source(code, f"{where}: the code of {problem_id}")
    defined = defined_names(module)
    entry_point = entry_point_of(trees, defined)
    if entry_point is None:
        raise ProblemError(
            f"{where}: no function that the tests of {problem_id} call is defined in its code; "
            "the file is damaged, download it again"
        )
    setup_tree = parse_source(setup, f"{where}: the test set-up of {problem_id}")
    shared = set().union(*map(_names, [*trees, setup_tree])) & (defined - {entry_point})
    if shared:
        excluded.append(
            f"{problem_id} (its tests use {', '.join(sorted(shared))}, which the solution defines)"
        )
        return None
    if types := set().union(*(_passed_builtins(t, entry_point) for t in trees)):
        excluded.append(
            f"{problem_id} (its tests pass {', '.join(sorted(types))}, which is no plain data)"
        )
        return None
    if len(asserts) < 2:
        excluded.append(f"{problem_id} (one test only: none would be left to decide)")
        return None
    public = PublicProblem(
        id=problem_id,
        source="mbpp",
        statement=f"{text.strip()}\n\nYour function must satisfy:\n\n{asserts[0].strip()}\n",
        kind="function",
        entry_point=entry_point,
        starter_code="",
        tests=tests_of("public", asserts[:1], setup, module, entry_point),
        licence="CC-BY-4.0",
    )
    private = PrivateTests(tests_of("private", asserts[1:], setup, module, entry_point))
    return Problem(public, private, references=(code,))


def _strings(record: dict[str, Any], name: str, where: str, optional: bool = False) -> list[str]:
    if optional and name not in record:
        return []
    values = field(record, name, list, where, SOURCE)
    if not all(isinstance(v, str) for v in values):
        raise ProblemError(f"{where}: field {name!r} must be a list of strings")
    return [v for v in values if v.strip()]


def defined_names(module: ast.Module) -> set[str]:
    """The names that a module defines at its top level, imports excepted."""
    names: set[str] = set()
    for statement in module.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {t.id for t in targets if isinstance(t, ast.Name)}
    return names


def entry_point_of(asserts: Sequence[ast.Module], defined: set[str]) -> str | None:
    """The defined function that most assertions call; of equals, the one called first."""
    counts: Counter[str] = Counter()
    for tree in asserts:
        calls = (n.func for n in ast.walk(tree) if isinstance(n, ast.Call))
        counts.update(list(dict.fromkeys(f.id for f in calls if isinstance(f, ast.Name))))
    called = [name for name, _ in counts.most_common() if name in defined]
    return called[0] if called else None


def _passed_builtins(tree: ast.Module, entry_point: str) -> set[str]:
    """Names such as `int` that stand as arguments in calls of the entry point."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == entry_point:
            values = [*node.args, *(k.value for k in node.keywords)]
            found |= {v.id for v in values if isinstance(v, ast.Name) and v.id in dir(builtins)}
    return found


def _used_imports(module: ast.Module, test: ast.Module) -> str:
    """The solution's imports that a test needs as well."""
    wanted = _names(test)
    lines = []
    for statement in module.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            names = {a.asname or a.name.partition(".")[0] for a in statement.names}
            if names & wanted:
                lines.append(ast.unparse(statement) + "\n")
    return "".join(lines)


def _names(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def tests_of(
    half: str, asserts: Sequence[str], setup: str, module: ast.Module, entry_point: str
) -> tuple[TestCase, ...]:
    """The tests of assertions about `entry_point`, with ids that begin with `half`.

    Args:
      asserts: each the source of one assertion.
      setup: code that stands before each.
      module: the reference solution, whose imports an assertion may use.
    """
    return tuple(
        _literal_test(f"{half}-{i}", code, entry_point)
        or CheckTest(f"{half}-{i}", _check_code(code, setup, module, entry_point))
        for i, code in enumerate(asserts)
    )


def _literal_test(test_id: str, code: str, entry_point: str) -> FunctionTest | None:
    """The test for `assert entry_point(literals) == literal`; None for any other assertion."""
    match parse_source(code, test_id).body:
        case [
            ast.Assert(
                test=ast.Compare(
                    left=ast.Call(func=ast.Name(id=name), args=args, keywords=keywords),
                    ops=[ast.Eq()],
                    comparators=[right],
                )
            )
        ] if name == entry_point and all(k.arg for k in keywords):
            try:
                test = FunctionTest(
                    test_id,
                    tuple(ast.literal_eval(a) for a in args),
                    ast.literal_eval(right),
                    {k.arg: ast.literal_eval(k.value) for k in keywords if k.arg},
                )
                test.to_json()
            except (ValueError, TypeError, SyntaxError, RecursionError):
                return None  # codec.CodecError is a ValueError
            return test
    return None


def _check_code(code: str, setup: str, module: ast.Module, entry_point: str) -> str:
    """The assertion after its set-up, calling `candidate` in the entry point's place."""
    tree = parse_source(f"{setup}\n{code}\n", "a test")
    imports = _used_imports(module, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == entry_point:
            node.id = "candidate"
    return imports + ast.unparse(tree) + "\n"
