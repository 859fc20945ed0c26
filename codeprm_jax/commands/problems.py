"""`codeprm problems list | show ID | check | export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from codeprm_jax.commands.judging import open_pool
from codeprm_jax.commands.output import progress_bar, say, table
from codeprm_jax.files import InputError, check_output
from codeprm_jax.problems.check import check_references
from codeprm_jax.problems.loading import load_problems, source_path, write_problems
from codeprm_jax.problems.problem import Problem, describe_test


def main(
    action: Annotated[Literal["list", "show", "check", "export"], tyro.conf.Positional],
    id: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    problems: str = "bank",
    out: Path = Path("problems.jsonl"),
    workers: int | None = None,
    allow_weak_isolation: bool = False,
) -> int:
    """Lists, shows, checks or exports problems.

    Args:
      action: list all; show one (name its id); check: run every reference solution on all tests;
        export: write problems.jsonl for sandbox-runner.
      id: the problem to show.
      problems: bank, or SOURCE:PATH of humaneval, humanevalplus, mbpp, mbppplus, apps,
        code_contests, codeforces, livecodebench, or file; after it may stand which ones, as in
        apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      out: where export writes.
      workers: processes that judge; default all cores.
      allow_weak_isolation: check on a machine without user namespaces.
    """
    loaded = load_problems(problems)
    if action == "show":
        return _show(loaded, id)
    if id is not None:
        raise InputError(f"{action} takes no id; {id!r} was given")
    if action == "list":
        return _list(loaded)
    if action == "export":
        check_output(out, source_path(problems))
        write_problems(loaded, out)
        say(f"{len(loaded)} problems written to {out}")
        return 0
    with (
        open_pool(workers, allow_weak_isolation) as pool,
        progress_bar(len(loaded), "problem", "check") as bar,
    ):
        failures = check_references(loaded, pool, lambda: bar.update())
    for failure in failures:
        say(str(failure))
    failed = len({f.problem_id for f in failures})
    say(f"{len(loaded) - failed} of {len(loaded)} reference solutions pass all tests")
    return 1 if failures else 0


def _list(problems: list[Problem]) -> int:
    rows = [
        (p.id, p.public.kind, p.public.difficulty, len(p.public.tests), len(p.private.tests))
        for p in problems
    ]
    say(table(("problem", "kind", "difficulty", "public", "private"), rows))
    say(f"{len(rows)} problems")
    return 0


def _show(problems: list[Problem], problem_id: str | None) -> int:
    if problem_id is None:
        raise InputError("show needs a problem's id, such as bank/best_trade")
    found = [p for p in problems if p.id in (problem_id, f"bank/{problem_id}")]
    if not found:
        raise InputError(f"no problem {problem_id!r}; codeprm problems list shows the ids")
    problem = found[0]
    public = problem.public
    say(f"{problem.id}  ({public.kind}, {public.difficulty}, {public.licence})\n")
    say(public.statement)
    for test in public.tests:
        shown, expected = describe_test(test, public.entry_point)
        say(f"\npublic test {test.id}\n{shown}" + (f"\n-> {expected}" if expected else ""))
    say(f"\n{len(problem.private.tests)} private tests, not shown")
    return 0
