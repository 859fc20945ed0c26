from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.problems.loading import SOURCES, load_problems
from codeprm_jax.problems.problem import ProblemError
from codeprm_jax.problems.records import find_files
from codeprm_jax.problems.selection import ALL, Selection, band_of_rating, parse_selection

WORDS = st.lists(st.text("abcxyz019-_./ ", min_size=1).map(str.strip).filter(bool), max_size=3)


@given(
    WORDS,
    st.none() | st.text("abcdef", min_size=1),
    st.none() | st.integers(1, 10**8),
    WORDS,
)
def test_a_selection_is_read_back_from_its_text(
    difficulty: list[str], split: str | None, limit: int | None, ids: list[str]
) -> None:
    selection = Selection(tuple(difficulty), split, limit, tuple(ids))
    assert parse_selection(str(selection)) == selection


@given(st.text())
def test_any_text_is_a_selection_or_an_error_of_ours(text: str) -> None:
    try:
        selection = parse_selection(text)
    except ProblemError:
        return
    assert selection == ALL or str(selection)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("colour=red", "unknown option 'colour'"),
        ("limit", "needs a value"),
        ("limit=", "needs a value"),
        ("limit=0", "at least 1"),
        ("limit=-3", "at least 1"),
        ("limit=1.5", "at least 1"),
        ("limit=1&limit=2", "occurs twice"),
        ("ids=a,,b", "empty"),
        ("&", "unknown option ''"),
        ("difficulty=harsh", "difficulty 'harsh' is none of easy, medium, hard, unknown"),
        ("difficulty=1200", "difficulty '1200' is none of"),
        ("split=train", "bank has no splits"),
        ("ids=bank/none", "holds no problem bank/none"),
        ("difficulty=unknown", "holds no problem that can be used and fits difficulty=unknown"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        load_problems(f"bank?{options}")


def test_the_bank_can_be_chosen_from() -> None:
    everything = load_problems("bank")
    assert load_problems("bank?limit=3") == everything[:3]
    assert load_problems("bank?") == everything
    easy = load_problems("bank?difficulty=easy,medium&limit=1000")
    assert easy and {p.public.difficulty for p in easy} <= {"easy", "medium"}
    one, two = everything[4], everything[1]
    ids = f"{one.id},{two.id.removeprefix('bank/')}"
    assert load_problems(f"bank?ids={ids}") == [two, one]


@pytest.mark.parametrize(
    ("word", "bands", "rating", "wanted"),
    [
        ("hard", ("hard",), None, True),
        ("hard", ("easy",), 2500, False),
        ("1200", (), 1200, True),
        ("1200", (), 1201, False),
        ("800-1600", ("unknown",), None, False),
        ("800-1600", (), 1600, True),
        ("800-1600", (), 700, False),
    ],
)
def test_difficulty_and_rating(
    word: str, bands: tuple[str, ...], rating: int | None, wanted: bool
) -> None:
    assert Selection(difficulty=(word,)).wants("x/1", *bands, rating=rating) is wanted


def test_bands_of_ratings() -> None:
    bands = [band_of_rating(r) for r in (None, 0, 800, 1399, 1400, 1999, 2000, 3500)]
    assert bands == ["unknown"] * 2 + ["easy"] * 2 + ["medium"] * 2 + ["hard"] * 2


def test_files_of_a_split(tmp_path: Path) -> None:
    names = ["data/train-0.parquet", "data/test-0.parquet", "train.jsonl", "training.jsonl", "x.md"]
    for name in [*names, "train/a.json"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = [str(f.relative_to(tmp_path)) for f in find_files(tmp_path, "train")]
    assert found == ["data/train-0.parquet", "train/a.json", "train.jsonl"]
    assert len(find_files(tmp_path)) == 5
    with pytest.raises(ProblemError, match="no file of the split 'valid'"):
        find_files(tmp_path, "valid")
    with pytest.raises(ProblemError, match="one file, so it has no split 'test'"):
        find_files(tmp_path / "train.jsonl", "test")


def test_a_question_mark_in_a_path(tmp_path: Path) -> None:
    path = tmp_path / "what?.jsonl"
    problem = load_problems("bank?limit=1")[0]
    path.write_text(json.dumps(problem.to_json()) + "\n")
    assert load_problems(f"file:{path}?") == [problem]
    assert load_problems(f"file:{path}?limit=1") == [problem]


def test_every_source_has_a_name_of_its_own_in_the_spec() -> None:
    assert all(name.isidentifier() for name in SOURCES)
