"""How a free response becomes a trace, and how steps become one number."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.files import InputError
from codeprm_jax.scoring.aggregate import AGGREGATES, aggregate
from codeprm_jax.scoring.serving.openrlhf import read_query, split_response
from codeprm_jax.scoring.serving.wire import parse_json

TAG = "<|step|>"
words = st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){0,5}", fullmatch=True)
thoughts = st.lists(words, min_size=1, max_size=6)
programs = st.from_regex(r"([a-z =()]{1,20}\n){1,5}", fullmatch=True)


@given(thoughts, programs, st.sampled_from(["tag", "step", "blank"]), st.booleans())
def test_what_was_joined_is_split(
    parts: list[str], program: str, way: str, program_first: bool
) -> None:
    if way == "step":
        parts = [f"Step {n}: {part}" for n, part in enumerate(parts, 1)]
    text = {"tag": TAG, "step": "\n", "blank": "\n\n"}[way].join(parts)
    if way == "tag":
        text += TAG
    fence = f"```python\n{program}```"
    response = f"{fence}\n{text}" if program_first else f"{text}\n{fence}\n<|im_end|></s>\n"
    assert split_response(response, TAG) == (tuple(parts), program)


@given(st.text(alphabet="aS`tep1: \n<|>#*", max_size=200), st.sampled_from([TAG, "\n", ""]))
def test_any_text_is_split_into_its_own_pieces(text: str, tag: str) -> None:
    found, program = split_response(text, tag)
    assert all(t and t == t.strip() and t in text for t in found) or "```" in text
    assert program in text
    assert tag in ("", "\n") or not any(tag in t for t in found)


def test_hostile_responses_take_no_time() -> None:
    size = 200_000
    texts = [" " * size, "\n" * size, "`" * size, "```\n" * (size // 4), "<|" * (size // 2)]
    for text in (*texts, "</s>" * size, "<|im_end|> " * (size // 4)):
        began = time.process_time()
        split_response("a" + text + "b", TAG)
        split_response(text, TAG)
        assert time.process_time() - began < 1.0, text[:8]


def test_queries_without_a_trace_say_why() -> None:
    for query, reason in (
        ("other", "does not contain"),
        ("Q \n", "no thought"),
        ("Q", "no thought"),
    ):
        found = read_query(query, "Q", TAG)
        assert isinstance(found, InputError) and reason in str(found)
    found = read_query("Q" + "a\n\n" * 2000, "Q", TAG)
    assert isinstance(found, InputError) and "2000" in str(found)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_aggregates(scores: list[float]) -> None:
    found = {how: aggregate(scores, how) for how in AGGREGATES}
    assert found["last"] == scores[-1] and found["min"] == min(scores)
    assert found["max"] == max(scores)
    assert found["min"] - 1e-9 <= found["mean"] <= found["max"] + 1e-9
    assert 0 <= found["product"] <= found["min"] + 1e-9


def test_aggregates_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="one step"):
        aggregate(np.zeros(0), "min")
    with pytest.raises(InputError, match="none of"):
        aggregate([1.0], "sum")  # type: ignore[arg-type]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    import json

    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        parse_json(body)
    except InputError as error:
        assert "the body" in str(error)
