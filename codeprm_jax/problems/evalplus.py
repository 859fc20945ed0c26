"""HumanEval+ and MBPP+: the problems of HumanEval and MBPP with many more tests, by EvalPlus.

Licence: Apache-2.0 (EvalPlus), on texts of HumanEval (MIT) and MBPP (CC-BY-4.0). Two forms are
read; which one a record has is told by its fields.

* With `test`, a check program that holds inputs and results: the Hub data sets
  `evalplus/humanevalplus` and `evalplus/mbppplus` (Parquet, or their rows as JSON Lines), and the
  release HumanEvalPlus-OriginFmt.jsonl.gz. Fields of HumanEval+: `task_id`, `prompt`,
  `entry_point`, `canonical_solution`, `test`; of MBPP+: `task_id`, `prompt`, `code`, `test`,
  `test_list`, `test_imports`. Nothing is run to load them.
* With `base_input` and `plus_input`: the releases HumanEvalPlus.jsonl.gz and MbppPlus.jsonl.gz.
  Fields: `task_id`, `prompt`, `entry_point`, `canonical_solution`, `base_input`, `plus_input`,
  `atol`, and `assertion` for MBPP+. They hold no expected values: every load runs the canonical
  solutions on all inputs in the sandbox, one after another, and needs a machine that offers
  isolation; `codeprm problems export` once, and `file:PATH` from then on, saves that.
  JSON has no tuples, sets or complex numbers: the arguments of MBPP+ get the types that the literal
  arguments of `assertion` have.

Public tests: for HumanEval+ the examples of the docstring, as for HumanEval; for MBPP+ the first
assertion, which is also part of the statement, as for MBPP. Private tests: all base and plus
inputs, without a call that is public already. Values are compared by ==; where an expected value is
a float or a flat list of them, within an absolute 1e-6 (or the problem's `atol`) and a relative
1e-7. The CPU limit of a test is 4 s, or 20 s where the canonical solution took more than a second.

Left out, with a warning that counts them: HumanEval/32, whose check program fails for every
solution and whose inputs have several right answers; and problems whose arguments, results or
assertions cannot be read by these rules. Inputs on which the canonical solution returns no plain
value, or none in 10 s, are passed over; a warning counts the problems that have some.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from codeprm_jax.files import RunError
from codeprm_jax.problems import contest, humaneval, mbpp
from codeprm_jax.problems.contest import Tally, UnusableError
from codeprm_jax.problems.evalplus_tests import (
    Suite,
    from_check_program,
    from_solution,
    literal,
    retyped,
)
from codeprm_jax.problems.problem import PrivateTests, Problem, ProblemError, PublicProblem
from codeprm_jax.problems.records import field, load_each, parse_source
from codeprm_jax.problems.selection import ALL, Selection
from sandbox_runner import codec
from sandbox_runner.jail import IsolationError
from sandbox_runner.pool import find_tier
from sandbox_runner.types import CheckTest, TestCase
from sandbox_runner.worker import Worker

logger = logging.getLogger(__name__)

LICENCE = "Apache-2.0"
# Of a test: steps, not a multiple of a measured time, so that a problem is the same on every load.
CPU_S = 4.0
SLOW_CPU_S = 20.0  # where the canonical solution took more than a second

UNUSABLE = {"HumanEval/32": "tests that no solution passes, or several right answers"}

_Make = Callable[[dict[str, Any], str, Selection, Tally, Callable[[], Worker]], Problem | None]


def load_humaneval_plus(path: Path | str, selection: Selection = ALL) -> list[Problem]:
    """The problems of a HumanEval+ file or folder, in its order; warns about what is left out.

    Raises:
      ProblemError: the path is missing, damaged or of another form, or nothing is left; names the
        file, the line or row, the field and the remedy.
      RunError: solutions must be run, and this machine cannot isolate them.
    """
    return _load(path, selection, _of_humaneval)


def load_mbpp_plus(path: Path | str, selection: Selection = ALL) -> list[Problem]:
    """`load_humaneval_plus` for MBPP+."""
    return _load(path, selection, _of_mbpp)


def _load(path: Path | str, selection: Selection, make: _Make) -> list[Problem]:
    tally = Tally(path)
    with _sandbox() as worker:
        problems = load_each(
            path, lambda record, where: make(record, where, selection, tally, worker), selection
        )
    tally.warn(len(problems))
    return problems


@contextmanager
def _sandbox() -> Iterator[Callable[[], Worker]]:
    """Gives a function that starts a worker on its first call; stops it at the end."""
    started: list[Worker] = []

    @cache
    def worker() -> Worker:
        try:
            started.append(Worker(find_tier()))
        except IsolationError as error:
            raise RunError(
                f"{error}; expected values come from running the canonical solutions: load the "
                "form with a 'test' field, or export the problems on a machine with isolation"
            ) from error
        logger.info("running the canonical solutions for their expected values")
        return started[0]

    try:
        yield worker
    finally:
        for one in started:
            one.stop()


def _of_humaneval(
    record: dict[str, Any],
    where: str,
    selection: Selection,
    tally: Tally,
    worker: Callable[[], Worker],
) -> Problem | None:
    source = "HumanEval+"
    task_id, prompt, name, solution = (
        field(record, key, str, where, source)
        for key in ("task_id", "prompt", "entry_point", "canonical_solution")
    )
    problem_id = f"HumanEvalPlus/{task_id.rpartition('/')[2]}"
    if not selection.wants(problem_id, "unknown"):
        return None
    reference = prompt + solution
    module = parse_source(reference, f"{where}: prompt + canonical_solution of {task_id}")
    function = humaneval.find_function(module, name)
    if function is None:
        raise ProblemError(
            f"{where}: the solution of {task_id} does not define {name!r}; "
            "the file is damaged, download it again"
        )
    try:
        if task_id in UNUSABLE:
            raise UnusableError(UNUSABLE[task_id])
        if "test" in record:
            suite = from_check_program(field(record, "test", str, where, source), name)
        else:
            inputs = _inputs(record, where, source)
            suite = from_solution(reference, name, inputs, _atol(record, where), worker())
        return _problem(
            problem_id,
            source="humanevalplus",
            statement=humaneval.LEAD_IN.format(name=name) + prompt.strip() + "\n",
            entry_point=name,
            starter_code=humaneval.starter_code(module, function),
            public=humaneval.public_tests(task_id, name, function, reference),
            suite=suite,
            reference=reference,
            tally=tally,
        )
    except UnusableError as reason:
        tally.leave_out(problem_id, reason)
        return None


def _of_mbpp(
    record: dict[str, Any],
    where: str,
    selection: Selection,
    tally: Tally,
    worker: Callable[[], Worker],
) -> Problem | None:
    source = "MBPP+"
    task_id = field(record, "task_id", object, where, source)
    if isinstance(task_id, bool) or not isinstance(task_id, (int, str)):
        raise ProblemError(f"{where}: field 'task_id' must be a number or a text, not {task_id!r}")
    problem_id = f"MBPPPlus/{str(task_id).rpartition('/')[2]}"
    if not selection.wants(problem_id, "unknown"):
        return None
    prompt = field(record, "prompt", str, where, source)
    from_hub = "test" in record
    code = field(record, "code" if from_hub else "canonical_solution", str, where, source)
    code = code.replace("\r\n", "\n").strip("\n") + "\n"
    module = parse_source(code, f"{where}: the solution of {problem_id}")
    asserts, setup = _assertions(record, where, source, from_hub)
    trees = [parse_source(a, f"{where}: assertion {i}") for i, a in enumerate(asserts)]
    name = mbpp.entry_point_of(trees, mbpp.defined_names(module))
    if name is None:
        raise ProblemError(
            f"{where}: no function that the assertions of {problem_id} call is defined in its "
            "solution; the file is damaged, download it again"
        )
    try:
        if from_hub:
            suite = from_check_program(field(record, "test", str, where, source), name)
        else:
            relation, examples = _examples(trees, name)
            inputs = _retyped(_inputs(record, where, source), examples)
            atol = max(_atol(record, where), 1e-6 if relation == "close" else 0.0)
            relation = "==" if relation == "close" else relation
            suite = from_solution(code, name, inputs, atol, worker(), relation)
        text = prompt.strip().removeprefix('"""').removesuffix('"""').strip()
        text = text.partition("\nassert ")[0].strip()
        return _problem(
            problem_id,
            source="mbppplus",
            statement=f"{text}\n\nYour function must satisfy:\n\n{asserts[0].strip()}\n",
            entry_point=name,
            starter_code="",
            public=mbpp.tests_of("public", asserts[:1], setup, module, name),
            suite=suite,
            reference=code,
            tally=tally,
        )
    except UnusableError as reason:
        tally.leave_out(problem_id, reason)
        return None


def _problem(
    problem_id: str,
    *,
    source: str,
    statement: str,
    entry_point: str,
    starter_code: str,
    public: tuple[TestCase, ...],
    suite: Suite,
    reference: str,
    tally: Tally,
) -> Problem:
    shown = [_content(t) for t in public]
    private = tuple(t for t in suite.tests if _content(t) not in shown)
    if not private:
        raise UnusableError("no private test")
    if suite.dropped:
        tally.remark(
            problem_id, "inputs that the canonical solution fails on, which are passed over"
        )
    longest = max(len(_content(t)) for t in private) / 1024
    cpu_s = SLOW_CPU_S if (suite.cpu_s or 0.0) > 1.0 else CPU_S
    head = PublicProblem(
        id=problem_id,
        source=source,
        statement=statement,
        kind="function",
        entry_point=entry_point,
        starter_code=starter_code,
        tests=public,
        comparator=suite.comparator,
        limits=contest.limits(cpu_s, 1024, longest),
        licence=LICENCE,
    )
    return Problem(head, PrivateTests(private), (reference,))


def _content(test: TestCase) -> bytes:
    if isinstance(test, CheckTest):
        return test.code.encode("utf-8", "surrogateescape")
    return codec.dumps({**test.to_json(), "id": ""})


def _inputs(record: dict[str, Any], where: str, source: str) -> list[Any]:
    found: list[Any] = []
    for name in ("base_input", "plus_input"):
        if record.get(name) != {}:  # as some releases write an empty list
            found += field(record, name, list, where, source)
    return found


def _atol(record: dict[str, Any], where: str) -> float:
    value = record.get("atol") or 0
    if (number := contest.number(value)) is None and value != 0:
        raise ProblemError(f"{where}: field 'atol' must be a number of at least 0, not {value!r}")
    return number or 0.0


def _assertions(
    record: dict[str, Any], where: str, source: str, from_hub: bool
) -> tuple[list[str], str]:
    """(the assertions, the imports that stand before them)."""
    if from_hub:
        lists = [field(record, n, list, where, source) for n in ("test_list", "test_imports")]
        if not all(isinstance(text, str) for texts in lists for text in texts):
            raise ProblemError(f"{where}: 'test_list' and 'test_imports' must be lists of strings")
        asserts, setup = [a for a in lists[0] if a.strip()], "\n".join(lists[1])
    else:
        text = field(record, "assertion", str, where, source)
        body = parse_source(text, f"{where}: 'assertion'").body
        asserts = [ast.unparse(s) for s in body if isinstance(s, ast.Assert)]
        setup = "\n".join(ast.unparse(s) for s in body if not isinstance(s, ast.Assert))
    if not asserts:
        raise ProblemError(f"{where}: there is no assertion, so nothing tells how it is called")
    return asserts, setup


def _examples(trees: list[ast.Module], name: str) -> tuple[str, list[list[Any]]]:
    """(how the assertions compare, the literal arguments of each)."""
    relations, examples = set(), []
    for tree in trees:
        match tree.body[-1]:
            case ast.Assert(test=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()])):
                relation = "=="
                if isinstance(call.func, ast.Name) and call.func.id in ("set", "sorted"):
                    relation, call = call.func.id, call.args[0]  # type: ignore[assignment]
            case ast.Assert(test=ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call)):
                relation = "truth"
            case ast.Assert(test=ast.Call(func=ast.Attribute(attr="isclose"), args=[first, *_])):
                relation, call = "close", first  # type: ignore[assignment]
            case ast.Assert(test=ast.Call() as call):
                relation = "truth"
            case _:
                raise UnusableError("an assertion of another form")
        relations.add(relation)
        if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != name or call.keywords:
            raise UnusableError("an assertion of another form")
        try:
            examples.append([literal(a) for a in call.args])
        except ValueError:
            raise UnusableError("an assertion with arguments that are no literals") from None
    if len(relations) != 1 or relations == {"sorted"}:
        raise UnusableError("assertions that compare in different ways")
    return relations.pop(), examples


def _retyped(inputs: list[Any], examples: list[list[Any]]) -> list[list[Any]]:
    """The inputs with the types of the examples, which must be among them."""
    if not all(isinstance(i, list) for i in inputs):
        raise UnusableError("an input that is no list of arguments")
    try:
        typed = [
            [
                retyped(value, [e[place] for e in examples if place < len(e)])
                for place, value in enumerate(arguments)
            ]
            for arguments in inputs
        ]
    except ValueError:
        raise UnusableError("arguments that do not fit the types in its own examples") from None
    if any(example not in typed for example in examples):
        raise UnusableError("examples that are not among its inputs")
    return typed
