"""Problems and their chains by name: what the option `--problems` accepts.

`bank`, or SOURCE:PATH for each other name in SOURCES; `file:PATH` is a problems.jsonl that was
exported here. After a "?" may stand which problems are wanted, see `selection`:
`apps:APPS?split=test`. A path that holds a "?" itself needs one more at its end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeprm_jax.files import write_jsonl
from codeprm_jax.problems import (
    apps,
    code_contests,
    codeforces,
    evalplus,
    humaneval,
    livecodebench,
    mbpp,
)
from codeprm_jax.problems.chain import Chain
from codeprm_jax.problems.problem import Problem, ProblemError
from codeprm_jax.problems.records import field, load_each
from codeprm_jax.problems.selection import Selection, parse_selection
from codeprm_jax.problems.syntax_chain import chain_from_reference

logger = logging.getLogger(__name__)


def load_problems(spec: str) -> list[Problem]:
    """The problems that `spec` names, in the order of their source.

    Args:
      spec: "bank", or SOURCE:PATH; "?" and a selection may follow.

    Raises:
      ProblemError: a spec of no valid form, or a file that cannot be used.
      codeprm_jax.files.RunError: the source must run programs, and this machine cannot isolate
        them.
    """
    source, path, selection = _parse(spec)
    problems = SOURCES[source].load(Path(path), selection)
    logger.info("%d problems from %s", len(problems), spec)
    return problems


def source_path(spec: str) -> Path | None:
    """The path in such a spec, None for the bank. Raises ProblemError on no valid form."""
    source, path, _ = _parse(spec)
    return None if source == "bank" else Path(path)


def load_chains(spec: str, problems: Iterable[Problem]) -> dict[str, Chain]:
    """The chain of steps of every problem, by problem id.

    The bank's are written by hand; all others are cut from the first reference solution.

    Raises:
      ProblemError: a spec of no valid form, a problem that the bank does not hold, or one without
        a reference solution, or with one that cannot be cut.
    """
    source, _, _ = _parse(spec)
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


def _parse(spec: str) -> tuple[str, str, Selection]:
    """(source, path, selection)."""
    place, _, options = spec.strip().rpartition("?") if "?" in spec else (spec.strip(), "", "")
    source, colon, path = place.partition(":")
    if source not in SOURCES:
        raise ProblemError(f"--problems {spec!r} names no source; valid forms: {FORMS}")
    if source == "bank" and colon:
        raise ProblemError(f"--problems {spec!r}: the bank has no path; valid forms: {FORMS}")
    if source != "bank" and not path.strip():
        raise ProblemError(f"--problems {spec!r} needs a path after the colon; forms: {FORMS}")
    try:
        selection = parse_selection(options.strip())
        known = SOURCES[source]
        selection.check_words(source, known.bands, known.rated, known.split)
    except ProblemError as error:
        raise ProblemError(f"--problems {spec!r}: {error}") from error
    return source, path.strip(), selection


def _chain(problem: Problem) -> Chain:
    if not problem.references:
        raise ProblemError(
            f"problem {problem.id!r} has no reference solution, so no steps can be cut from it; "
            "add one under 'references' or use another policy"
        )
    return chain_from_reference(problem.id, problem.references[0], problem.public.entry_point)


def _load_bank(path: Path, selection: Selection) -> list[Problem]:
    from codeprm_jax.problems.bank import ENTRIES

    return selection.of(entry.problem for entry in ENTRIES)


def _load_exported(path: Path) -> list[Problem]:
    return load_each(path, _exported)


def _then_select(
    load: Callable[[Path], list[Problem]],
) -> Callable[[Path, Selection], list[Problem]]:
    return lambda path, selection: selection.of(load(path))


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


@dataclass(frozen=True)
class Source:
    """A source of problems.

    Attributes:
      load: the problems at a path that a selection wants.
      bands: its own names of difficulties.
      rated: whether its problems have ratings.
      split: whether a folder of it can have splits.
    """

    load: Callable[[Path, Selection], list[Problem]]
    bands: tuple[str, ...] = ()
    rated: bool = False
    split: bool = False


SOURCES: dict[str, Source] = {
    "bank": Source(_load_bank),
    "humaneval": Source(_then_select(humaneval.load)),
    "humanevalplus": Source(evalplus.load_humaneval_plus),
    "mbpp": Source(_then_select(mbpp.load)),
    "mbppplus": Source(evalplus.load_mbpp_plus),
    "apps": Source(apps.load, tuple(apps.BANDS), split=True),
    "code_contests": Source(code_contests.load, rated=True, split=True),
    "codeforces": Source(codeforces.load, rated=True, split=True),
    "livecodebench": Source(livecodebench.load, split=True),
    "file": Source(_then_select(_load_exported)),
}

_PATHS = [f"{name}:PATH" for name in SOURCES if name != "bank"]
FORMS = f"bank, {', '.join(_PATHS[:-1])} or {_PATHS[-1]}"
