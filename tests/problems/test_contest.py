from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.problems import contest
from codeprm_jax.problems.contest import UnusableError
from sandbox_runner.judge import comparator
from sandbox_runner.types import Limits

TEXTS = st.text("ab 1\n", max_size=6)


def _ignore(remark: str) -> None:
    raise AssertionError(remark)


@given(st.lists(st.tuples(TEXTS, TEXTS)))
def test_tests_are_distinct_or_contradict_each_other(pairs: list[tuple[str, str]]) -> None:
    lines = comparator("lines", "stdin")
    tokens = comparator("tokens", "stdin")
    try:
        found = contest.distinct(pairs, _ignore)
    except UnusableError:
        assert any(
            lines(a[0], b[0]) and not tokens(a[1], b[1]) for a in pairs for b in pairs if a is not b
        )
        return
    assert [p for p in pairs if p in found][: len(found)] or not found
    assert all(not lines(a[0], b[0]) for n, a in enumerate(found) for b in found[:n])
    assert all(any(lines(a[0], b[0]) for b in found) for a in pairs)


@given(st.lists(st.integers()), st.none() | st.integers(0, 20))
def test_halves_lose_nothing(pairs: list[int], most: int | None) -> None:
    public, private = contest.halves(pairs, most)  # type: ignore[arg-type]
    assert [*public, *private] == pairs
    assert len(public) == min(len(pairs) // 2, math.inf if most is None else most)


@given(st.none() | st.floats(1e-9, 1e9), st.none() | st.floats(1e-9, 1e9), st.floats(0, 10_000))
def test_limits_are_always_valid(
    cpu_s: float | None, memory_mib: float | None, longest_kib: float
) -> None:
    limits = contest.limits(cpu_s, memory_mib, longest_kib)
    assert Limits.from_json(limits.to_json()) == limits
    assert 1 <= limits.cpu_s <= 20 and limits.wall_s == 3 * limits.cpu_s
    assert 256 <= limits.memory_mib <= 2048 and limits.output_kib >= longest_kib


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2 seconds", 2.0),
        ("1 second", 1.0),
        (" 2.5 ", 2.5),
        (3, 3.0),
        ("2 minutes", None),
        ("seconds", None),
        (0, None),
        (-1, None),
        (True, None),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        ([], None),
    ],
)
def test_numbers(value: object, found: float | None) -> None:
    assert contest.number(value, "seconds?") == found


@pytest.mark.parametrize(
    ("outputs", "name"),
    [
        (["3 4\n", "yes"], "tokens"),
        (["version 1.2.3", "10.0.0.1", "a.5"], "tokens"),
        (["3", "0.5 1"], "float:1e-06,1e-06"),
        (["-.5e-7"], "float:1e-06,1e-06"),
        ([], "tokens"),
    ],
)
def test_the_comparator_follows_from_the_outputs(outputs: list[str], name: str) -> None:
    assert contest.text_comparator(outputs) == name
