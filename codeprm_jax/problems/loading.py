"""Problems and their chains by name: what the option `--problems` accepts.

`bank`, `humaneval:PATH`, `mbpp:PATH`, or `file:PATH` for a problems.jsonl that was exported here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from codeprm_jax.files import write_jsonl
from codeprm_jax.problems import humaneval, mbpp
from codeprm_jax.problems.chain import Chain
from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.records import field, load_each
from codeprm_jax.problems.syntax_chain import chain_from_reference

logger = logging.getLogger(__name__)

FORMS = "bank, humaneval:PATH, mbpp:PATH or file:PATH"


def load_problems(spec: str) -> list[Problem]:
    """The problems that `spec` names, in the order of their source.

    Args:
      spec: "bank", "humaneval:PATH", "mbpp:PATH" or "file:PATH".

    Raises:
      ProblemError: a spec of no valid form, or a file that cannot be used.
    """
    source, path = _parse(spec)
    if source == "bank":
        from codeprm_jax.problems.bank import ENTRIES

        return [entry.problem for entry in ENTRIES]
    problems = _LOADERS[source](Path(path))
    logger.info("%d problems from %s", len(problems), spec)
    return problems


def load_chains(spec: str, problems: Iterable[Problem]) -> dict[str, Chain]:
    """The chain of steps of every problem, by problem id.

    The bank's are written by hand; all others are cut from the first reference solution.

    Raises:
      ProblemError: a spec of no valid form, a problem that the bank does not hold, or one without
        a reference solution, or with one that cannot be cut.
    """
    source, _ = _parse(spec)
    if source == "bank":
        from codeprm_jax.problems.bank import ENTRIES

        chains = {entry.chain.problem_id: entry.chain for entry in ENTRIES}
        ids = [p.id for p in problems]
        if unknown := sorted(set(ids) - set(chains)):
            raise ProblemError(f"the bank holds no problem {unknown[0]!r}; load them from {spec!r}")
        return {problem_id: chains[problem_id] for problem_id in ids}
    return {p.id: _chain(p) for p in problems}


def write_problems(problems: Sequence[Problem], path: Path | str) -> None:
    """Writes problems.jsonl, whole or not at all: a line a problem, private tests included.

    Raises OSError if the folder cannot be written.
    """
    write_jsonl(path, (problem.to_json() for problem in problems))


def _parse(spec: str) -> tuple[str, str]:
    source, colon, path = spec.strip().partition(":")
    if source == "bank":
        if colon:
            raise ProblemError(f"--problems {spec!r}: the bank has no path; valid forms: {FORMS}")
        return source, ""
    if source not in _LOADERS:
        raise ProblemError(f"--problems {spec!r} names no source; valid forms: {FORMS}")
    if not path.strip():
        raise ProblemError(f"--problems {spec!r} needs a path after the colon; forms: {FORMS}")
    return source, path.strip()


def _chain(problem: Problem) -> Chain:
    if not problem.references:
        raise ProblemError(
            f"problem {problem.id!r} has no reference solution, so no steps can be cut from it; "
            "add one under 'references' or use another policy"
        )
    return chain_from_reference(problem.id, problem.references[0], problem.public.entry_point)


def _load_exported(path: Path) -> list[Problem]:
    return load_each(path, _exported)


def _exported(record: dict[str, Any], where: str) -> Problem:
    for name, kind in _EXPORTED_FIELDS.items():
        field(record, name, kind, where, "problems.jsonl")
    if not all(isinstance(r, str) for r in record["references"]):
        raise ProblemError(f"{where}: 'references' must be a list of strings (Python source)")
    try:
        return Problem.from_json(record)
    except (TypeError, ValueError, AttributeError) as error:
        raise ProblemError(
            f"{where}: {error}; export the file again with `codeprm problems export`"
        ) from error


_EXPORTED_FIELDS: dict[str, type] = {
    "id": str,
    "source": str,
    "statement": str,
    "kind": str,
    "starter_code": str,
    "public": list,
    "private": list,
    "references": list,
}

_LOADERS: dict[str, Callable[[Path], list[Problem]]] = {
    "humaneval": humaneval.load,
    "mbpp": mbpp.load,
    "file": _load_exported,
}
