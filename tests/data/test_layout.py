from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeprm_jax.data import layout as layout_module
from codeprm_jax.data.layout import (
    MAX_FAILURE_TOKENS,
    QWEN_STEP_TAG,
    VIEWS,
    ExampleTooLongError,
    Layout,
    LayoutConfig,
    StepInput,
    View,
)
from codeprm_jax.data.tokenizer import SPECIAL_TOKENS, Tokenizer, load_tokenizer, train_tokenizer
from codeprm_jax.files import InputError, write_json
from codeprm_jax.model.config import Family, ModelConfig
from codeprm_jax.model.huggingface import to_huggingface
from codeprm_jax.problems.bank import ENTRIES
from codeprm_jax.traces.trace import Failure, Feedback
from tests.conftest import shared_file

TOKENIZER = train_tokenizer(["def f(x):\n    return x + 1\n", "Take the largest of all."], 400)
FAILURE = Failure("public-0", "WA", "f(1)", "2", "3", "")


def texts(max_size: int = 80) -> st.SearchStrategy[str]:
    special = [*SPECIAL_TOKENS, QWEN_STEP_TAG, QWEN_STEP_TAG + "\n", "\x00", "é\u2028", ""]
    nasty = st.sampled_from(special)
    return st.lists(st.one_of(st.text(max_size=20), nasty), max_size=6).map("".join)


@st.composite
def inputs(draw: st.DrawFn) -> StepInput:
    failure = st.builds(Failure, st.just("t"), st.just("WA"), texts(), texts(), texts(), texts())
    failures = st.lists(failure, max_size=3).map(tuple)
    return StepInput(
        draw(texts()),
        tuple(draw(st.lists(texts(), min_size=1, max_size=5))),
        draw(texts()),
        draw(st.one_of(st.none(), st.builds(Feedback, st.just(0), st.just(3), failures))),
    )


@given(item=inputs(), view=st.sampled_from(VIEWS), limit=st.integers(150, 700))
@settings(max_examples=150, deadline=None)
def test_step_positions_are_known_by_construction(item: StepInput, view: View, limit: int) -> None:
    """Invariant 2, whatever the texts spell out: one tag a step, no other tag, within the limit."""
    layout = Layout(LayoutConfig(views=(view,), max_tokens=limit), TOKENIZER)
    try:
        (example,) = layout.lay_out([item])
    except ExampleTooLongError:
        return
    assert example.length <= limit
    assert len(example.tag_positions) == len(item.thoughts)
    assert example.tokens.dtype == example.tag_positions.dtype == np.int32
    assert np.array_equal(np.flatnonzero(example.tokens == layout.tag), example.tag_positions)
    assert example.tag_positions[-1] == example.length - 1
    # What stands before each tag is that thought, whole.
    start = None
    for thought, tag in zip(item.thoughts, example.tag_positions, strict=True):
        ids = TOKENIZER.encode([thought])[0]
        assert list(example.tokens[tag - len(ids) : tag]) == ids
        assert start is None or tag - len(ids) == start
        start = tag + 1


@given(item=inputs(), view=st.sampled_from(VIEWS), kept=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_cuts_are_where_another_trace_may_go_on_otherwise(
    item: StepInput, view: View, kept: int
) -> None:
    """Up to the cut behind `kept` thoughts, traces that share these have the same tokens."""
    layout = Layout(LayoutConfig(views=(view,), max_tokens=10_000), TOKENIZER)
    kept = min(kept, len(item.thoughts))
    other = replace(item, thoughts=(*item.thoughts[:kept], "Otherwise."), program="pass")
    one, two = layout.lay_out([item, other])
    assert len(one.cuts) == 1 + len(item.thoughts)
    assert one.cuts[: kept + 1] == two.cuts[: kept + 1]
    cut = one.cuts[kept]
    assert (one.tokens[:cut] == two.tokens[:cut]).all()
    assert list(one.cuts) == sorted(one.cuts) and one.cuts[-1] <= one.length
    # Without program and feedback, a thought's tag closes its piece; else all tags are behind.
    if view == "thoughts":
        assert list(one.cuts[1:]) == [p + 1 for p in one.tag_positions]
    else:
        assert (one.tag_positions >= one.cuts[-1]).all()


def test_without_truncation_the_text_is_in_the_documented_order() -> None:
    item = StepInput("STATEMENT", ("first", "second"), "PROGRAM", Feedback(1, 2, (FAILURE,)))
    layout = Layout(LayoutConfig(views=VIEWS), TOKENIZER)
    (example,) = layout.lay_out([item])
    assert TOKENIZER.decode(example.tokens) == (
        "<|problem|>STATEMENT<|thoughts|>first\nsecond\n<|program|>PROGRAM"
        "<|feedback|>1 of 2 public tests passed.\nWA on f(1)\nexpected 2\ngot 3\n"
        "<|review|>first<|step|>second<|step|>"
    )
    (example,) = layout.lay_out([item], "program")
    assert TOKENIZER.decode(example.tokens) == (
        "<|problem|>STATEMENT<|thoughts|>first\nsecond\n<|program|>PROGRAM"
        "<|review|>first<|step|>second<|step|>"
    )
    (example,) = layout.lay_out([item], "thoughts")
    assert (
        TOKENIZER.decode(example.tokens)
        == "<|problem|>STATEMENT<|thoughts|>first<|step|>second<|step|>"
    )
    with pytest.raises(InputError, match="not trained to read the view 'program'"):
        Layout(LayoutConfig(views=("thoughts",)), TOKENIZER).lay_out([item], "program")
    with pytest.raises(InputError, match="views"):
        LayoutConfig(views=("thoughts", "code"))  # type: ignore[arg-type]


def test_truncation_takes_feedback_first_then_program_then_statement() -> None:
    long = "def f(x):\n    return x + 1\n" * 40
    item = StepInput(long, ("a thought",), long, Feedback(0, 1, (FAILURE,)))
    full = Layout(LayoutConfig(max_tokens=100_000), TOKENIZER).lay_out([item])[0].length
    program = len(TOKENIZER.encode([long])[0])
    small = Layout(LayoutConfig(max_tokens=full - 50), TOKENIZER)
    text = TOKENIZER.decode(small.lay_out([item])[0].tokens)
    assert text.startswith("<|problem|>" + long + "<|thoughts|>")  # the statement is whole
    assert " … " in text
    smaller = Layout(LayoutConfig(max_tokens=full - program - 50), TOKENIZER)
    text = TOKENIZER.decode(smaller.lay_out([item])[0].tokens)
    assert not text.startswith("<|problem|>" + long + "<|thoughts|>")
    assert text.endswith("a thought<|step|>")


def test_each_failure_is_cut_to_its_own_limit() -> None:
    huge = Failure("t", "WA", "x" * 40_000, "2", "3", "")
    config = LayoutConfig(max_tokens=100_000)
    item = StepInput("s", ("t",), "p", Feedback(0, 2, (huge, FAILURE)))
    (example,) = Layout(config, TOKENIZER).lay_out([item])
    assert example.length < MAX_FAILURE_TOKENS + 200
    assert "WA on f(1)" in TOKENIZER.decode(example.tokens)


def test_thoughts_that_cannot_fit_are_refused_with_length_and_limit() -> None:
    layout = Layout(LayoutConfig(max_tokens=64), TOKENIZER)
    with pytest.raises(ExampleTooLongError, match=r"needs \d+ tokens.*limit is 64"):
        layout.lay_out([StepInput("s", ("word " * 100,))])


@given(items=st.lists(inputs(), min_size=1, max_size=6), limit=st.sampled_from([0, 40, 400]))
@settings(max_examples=60, deadline=None)
def test_what_is_remembered_is_bounded_and_changes_nothing(
    items: list[StepInput], limit: int
) -> None:
    layout = Layout(LayoutConfig(views=VIEWS, max_tokens=4000), TOKENIZER)
    with mock.patch.object(layout_module, "REMEMBERED_TOKENS", limit):
        layout.forget()
        for _ in range(2):
            for item in items:
                (found,) = layout.lay_out([item])
                (fresh,) = Layout(layout.config, TOKENIZER).lay_out([item])
                np.testing.assert_array_equal(found.tokens, fresh.tokens)
                np.testing.assert_array_equal(found.tag_positions, fresh.tag_positions)
                for generation in layout._remembered:
                    assert sum(map(len, generation.values())) <= limit


def test_a_text_is_tokenised_once() -> None:
    layout = Layout(LayoutConfig(views=VIEWS), Tokenizer(TOKENIZER.backend))
    items = [StepInput("Add two numbers.", ("Take both.", f"Return {n}.")) for n in range(3)]
    read: list[str] = []
    encode = layout.tokenizer.encode
    with mock.patch.object(layout.tokenizer, "encode", lambda t: [read.extend(t), encode(t)][1]):
        for item in items + items[::-1]:
            layout.lay_out([item], "thoughts")
        assert len(read) == len(set(read)) == 5
        layout.forget()
        layout.lay_out(items, "thoughts")
        assert len(read) == 10


def test_a_tag_of_several_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="not one"):
        Layout(LayoutConfig(step_tag="step tag"), TOKENIZER)


def test_saved_tokenizer_loads_again_and_in_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    TOKENIZER.save(tmp_path)
    again = load_tokenizer(tmp_path)
    text = "def g(y):\n\treturn 'é' <|step|>"
    assert again.encode([text]) == TOKENIZER.encode([text])
    assert again.encode_marker("<|step|>") == TOKENIZER.encode_marker("<|step|>")
    assert AutoTokenizer.from_pretrained(tmp_path).decode(again.encode([text])[0]) == text


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama", "mistral"])
def test_transformers_reads_a_trained_tokenizer_as_it_was_trained(
    family: Family, tmp_path: Path
) -> None:
    """Beside a config.json it may build another pipeline than tokenizer.json describes."""
    from transformers import AutoTokenizer

    texts = [e.problem.public.statement for e in ENTRIES]
    texts += ["def f(x):\n\treturn  x**2  # d\u0301\u00e9j\u00e0 1234\r\n", "<|endoftext|> it's"]
    ours = train_tokenizer(texts, 700)
    ours.save(tmp_path)
    write_json(
        tmp_path / "config.json", to_huggingface(ModelConfig(family=family), None, "float32")
    )
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == ours.vocab_size
    for text in texts:
        assert theirs(text, add_special_tokens=False).input_ids == ours.encode_marker(text)
        plain = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert plain == ours.encode([text])[0]


def test_qwen_layout_uses_the_releases_tag() -> None:
    """The published tag is id 76325 of the Qwen2.5 vocabulary; programs may contain its text."""
    tokenizer = load_tokenizer(shared_file("tokenizers/qwen2.5"))
    layout = Layout(LayoutConfig.for_checkpoint(), tokenizer)
    assert layout.tag == 76325
    item = StepInput("s", ("one", "two"), f"x = 1{QWEN_STEP_TAG}y = 2", Feedback(1, 1))
    (example,) = layout.lay_out([item])
    found = np.flatnonzero(example.tokens == layout.tag)
    assert len(found) == 3  # the program's text is a tag to a search, but not to us
    assert list(example.tag_positions) == list(found[1:])


def test_bad_tokenizer_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(InputError, match="vocab_size"):
        train_tokenizer(["a"], 10)


def test_tokenizer_type_is_copied() -> None:
    backend = TOKENIZER.backend
    backend.enable_truncation(3)
    assert len(Tokenizer(backend).encode(["a b c d e f g"])[0]) > 3
    backend.no_truncation()
