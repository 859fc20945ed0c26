from __future__ import annotations

import base64
import contextlib
import os
import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.problems.pickled_text import PickledTextError, pickled_text, unpacked_text

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@given(st.text(), st.integers(1, pickle.HIGHEST_PROTOCOL))
def test_a_text_comes_back_as_it_was(text: str, protocol: int) -> None:
    data = pickle.dumps(text, protocol)
    assert pickled_text(data) == text
    packed = base64.b64encode(zlib.compress(data)).decode()
    assert unpacked_text(packed, len(data)) == text
    with pytest.raises(PickledTextError, match="bytes unpacked"):
        unpacked_text(packed, len(data) - 1)


@given(PLAIN.filter(lambda value: not isinstance(value, str)), st.integers(0, 5))
def test_a_pickle_of_anything_else_is_refused(value: Any, protocol: int) -> None:
    with pytest.raises(PickledTextError):
        pickled_text(pickle.dumps(value, protocol))


@given(st.binary(), st.integers(0, 200), st.text(max_size=20))
def test_any_bytes_are_a_text_or_an_error_of_ours(noise: bytes, place: int, text: str) -> None:
    good = pickle.dumps(text)
    for data in (noise, good[:place] + noise + good[place:], good[:place]):
        with contextlib.suppress(PickledTextError):
            assert isinstance(pickled_text(data), str)


class Evil:
    def __init__(self, call: Any, *args: Any) -> None:
        self.parts = call, args

    def __reduce__(self) -> Any:
        return self.parts


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_ever_called(protocol: int, tmp_path: Any) -> None:
    target = tmp_path / "made"
    for evil in (Evil(os.mkdir, str(target)), ["text", Evil(os.mkdir, str(target))]):
        data = pickle.dumps(evil, protocol)
        with pytest.raises(PickledTextError, match="more than one text"):
            pickled_text(data)
        # Before the first opcode of the text's own pickle, and after it.
        text = pickle.dumps("text", 4)
        for both in (data[:-1] + text, text[:-1] + data):
            with pytest.raises(PickledTextError):
                pickled_text(both)
    assert not target.exists()


def test_a_bomb_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(b"\x00" * 10**8)).decode()
    with pytest.raises(PickledTextError, match="more than 1000 bytes"):
        unpacked_text(bomb, 1000)


def test_what_is_cut_short_is_refused() -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps("a text" * 100))[:-5]).decode()
    with pytest.raises(PickledTextError, match="cut short"):
        unpacked_text(packed, 10**6)
