from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_runner import codec, judge
from sandbox_runner.types import FunctionTest, JobFormatError, Limits, StdinTest, Verdict

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(max_size=2), c, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(st.sampled_from("ab \n\t1.-e"), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FACTS = {"id": "t", "status": 0, "killed": None, "cpu_s": 0.1, "wall_s": 0.1, "peak_mib": 9.0}


@given(VALUES, VALUES)
def test_exact_is_equality(a: Any, b: Any) -> None:
    assert judge.comparator(None, "function")(a, b) == (a == b)
    assert judge.comparator("exact", "function")(a, a)


@given(st.lists(VALUES, max_size=6), st.randoms(use_true_random=False))
def test_unordered_takes_any_order_but_no_other_content(
    items: list[Any], shuffler: random.Random
) -> None:
    compare = judge.comparator("unordered", "function")
    shuffled = list(items)
    shuffler.shuffle(shuffled)
    assert compare(shuffled, items)
    assert not compare([*items, "x"], items)
    if items:
        assert not compare([*items[1:], object], items)


def test_json_takes_a_tuple_for_a_list_and_nothing_else() -> None:
    compare = judge.comparator("json", "function")
    assert compare((1, [2.0, (3,)]), [1, (2, [3])]) and compare({"a": (1,)}, {"a": [1]})
    assert compare([float("nan")], (float("nan"),))
    assert not compare([1, 2], [1]) and not compare({1}, [1]) and not compare("ab", ["a", "b"])
    with pytest.raises(JobFormatError):
        judge.comparator("json", "stdin")


def test_unordered_counts() -> None:
    compare = judge.comparator("unordered", "function")
    assert not compare([1, 1, 2], [1, 2, 2])
    assert compare([[1], {2}, {"a": [1]}], [{"a": [1]}, [1], {2}])
    assert not compare([[1]], [(1,)])
    assert compare([1.0], [1])
    assert not judge.comparator("unordered", "stdin")("a\na\nb", "a\nb\nb")
    assert judge.comparator("unordered", "stdin")("b\na", "a\nb\n")


@given(TEXTS, TEXTS)
def test_text_comparators_loosen_step_by_step(a: str, b: str) -> None:
    names = ("exact", "lines", "tokens", "float:0.1,0.1")
    results = [judge.comparator(name, "stdin")(a, b) for name in names]
    assert results == sorted(results)
    assert judge.comparator(None, "stdin")(a, b) == results[1]


@given(st.floats(-1e6, 1e6), st.floats(-1, 1))
def test_float_is_a_tolerance(x: float, d: float) -> None:
    compare = judge.comparator("float:0.5,0", "function")
    assert compare(x + d, x) == (abs((x + d) - x) <= 0.5)
    assert compare([{"a": x + d}], [{"a": x}]) == (abs((x + d) - x) <= 0.5)
    text = judge.comparator("float:0.5,0", "stdin")
    assert text(f"{x + d!r}\n", f"{x!r}") == (abs((x + d) - x) <= 0.5)


def test_float_keeps_integers_and_words_exact() -> None:
    value = judge.comparator("float:0.5,0.5", "function")
    assert not value(3, 4)
    assert not value("3.0", "3.1")
    assert not value(float("nan"), 1.0)
    assert not value(float("inf"), 1e300)
    assert value(float("inf"), float("inf"))
    assert not value(10**400, 1.5)
    assert not value([1.0], [1.0, 1.0])
    text = judge.comparator("float:0.5,0.5", "stdin")
    assert not text("3.0", "3")
    assert not text("+003", "3") and not text("101", "0101")
    assert not text("nan", "1.0")
    assert not text("1e999", "1.0")
    assert text("yes 1.2", "yes 1.1")
    assert not text("no 1.2", "yes 1.1")


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (5.0000001, 5),
        (1.2345678901234578e17, 123456789012345679),
        ((1.0, 2.0), [1.0, 2.0]),
        ([1.0, [2.5]], [1.0, (2.5,)]),
        (True, 1.5),
        ({1: 2.0}, {1.5: 2.0}),
    ],
)
def test_float_is_for_floats_alone(actual: Any, expected: Any) -> None:
    assert not judge.comparator("float:0.1,0.1", "function")(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected"), [("٣.٥", "3.5"), ("3.5", "٣.٥"), ("1e999", "1e998"), ("²", "2.0")]
)
def test_numbers_in_texts_are_ascii_and_finite(actual: str, expected: str) -> None:
    assert not judge.comparator("float:0.1,0.1", "stdin")(actual, expected)


NAN, OTHER_NAN = float("nan"), float("inf") - float("inf")


@pytest.mark.parametrize("name", ["exact", "float:0.1,0.1", "unordered"])
@pytest.mark.parametrize(
    ("wrap", "kind"),
    [
        (lambda x: x, "function"),
        (lambda x: [1, x], "function"),
        (lambda x: ({"a": x},), "function"),
        (lambda x: {"a": (x, 2)}, "function"),
        (lambda x: [{x}], "function"),
        (lambda x: complex(x, 1), "function"),
        (lambda x: f"1 {x}", "stdin"),
    ],
)
def test_nan_is_equal_to_itself_wherever_it_stands(wrap: Any, kind: str, name: str) -> None:
    compare = judge.comparator(name, kind)
    assert compare(wrap(NAN), wrap(OTHER_NAN))
    assert not compare(wrap(NAN), wrap(1.0)) and not compare(wrap(1.0), wrap(NAN))
    assert not compare(wrap(NAN), wrap(float("inf")))


def test_texts_of_nan_and_infinities() -> None:
    text = judge.comparator("float:0.1,0.1", "stdin")
    assert text("NaN -inf Infinity", "nan -Inf inf")
    assert not text("inf", "-inf") and not text("inf", "1e999")


@given(VALUES, VALUES)
def test_a_canonical_text_is_the_same_where_values_are_equal(a: Any, b: Any) -> None:
    for first, second in ((a, b), (a, a), ([a], (a,)), ({1: a}, {1.0: a}), ({True}, {1})):
        same = judge._canonical(first) == judge._canonical(second)
        assert same == (first == second), (first, second)


LONG = 1 << 20  # four times the default limit of an output
HOSTILE_TEXTS = {
    "digits": "1" * LONG + "x",
    "points": "1." * (LONG // 2),
    "exponents": "1e" * (LONG // 2),
    "signs": "+" * LONG,
    "a number": "1" * LONG,
    "many numbers": "1.5 " * (LONG // 4),
    "spaces": " " * LONG + "x",
    "lines": "\n" * LONG + "x",
    "returns": "\r" * LONG + "\n",
}


@pytest.mark.parametrize("shape", HOSTILE_TEXTS)
@pytest.mark.parametrize("name", ["lines", "tokens", "unordered", "float:1e-6,1e-6"])
def test_comparing_texts_takes_linear_time(name: str, shape: str) -> None:
    text = HOSTILE_TEXTS[shape]
    began = time.process_time()
    judge.comparator(name, "stdin")(text, text[:-1] + "9.5")
    assert time.process_time() - began < 1.0  # what goes back over it takes minutes


def test_members_that_collide_are_not_compared_with_each_other() -> None:
    colliding = [n * (2**61 - 1) for n in range(13_000)]
    near = [(x, y, z) for x in range(-9, 9) for y in range(-9, 9) for z in range(-9, 9)]
    unordered = judge.comparator("unordered", "function")
    began = time.process_time()
    assert unordered(colliding, colliding[::-1])
    for kind in ("set", "frozenset"):
        items = [codec.encode(n) for n in colliding]
        with pytest.raises(codec.CodecError, match="few different hashes"):
            codec.decode({"$": kind, "items": items})
        assert codec.decode(codec.encode(set(near))) == set(near)
    with pytest.raises(codec.CodecError, match="few different hashes"):
        codec.decode({"$": "dict", "pairs": [[codec.encode(n), 1] for n in colliding]})
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("name", ["", "sorted", "float:", "float:1", "float:-1,0", "float:e,1"])
@pytest.mark.parametrize("kind", ["function", "stdin"])
def test_unknown_comparators_are_refused(name: str, kind: str) -> None:
    if not name:
        return
    with pytest.raises(JobFormatError, match="comparator"):
        judge.comparator(name, kind)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, None),
        ({"status": 1}, Verdict.RE),
        ({"status": -11}, Verdict.RE),
        ({"status": -9, "killed": "wall"}, Verdict.TLE),
        ({"status": -9, "killed": "cpu"}, Verdict.TLE),
        ({"status": -9, "killed": "output"}, Verdict.OLE),
        ({"cpu_s": 3.0}, Verdict.TLE),
        ({"status": 1, "stderr": "Traceback\nMemoryError\n"}, Verdict.MLE),
        ({"status": 1, "stderr": "numpy.core._exceptions.MemoryError: x"}, Verdict.MLE),
        ({"status": 1, "stderr": "ValueError: MemoryError"}, Verdict.RE),
        ({"status": -31}, Verdict.SV),
        ({"status": -24}, Verdict.TLE),
        ({"status": -9, "killed": "memory"}, Verdict.MLE),
        ({"status": -9, "killed": "tampering"}, Verdict.SV),
        ({"status": -6, "peak_mib": 500.0}, Verdict.MLE),
    ],
)
def test_how_a_process_ends_decides(change: dict[str, Any], verdict: Verdict | None) -> None:
    facts = {**FACTS, "stderr": "", **change}
    assert judge.failure(facts, Limits()) == verdict


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"values": 3},
        {"values": []},
        {"values": [3]},
        {"values": [{}]},
        {"values": [{"value": {"$": "x"}}]},
        {"values": [{"value": 1}, {"value": 1}]},
        {"verdict": "AC"},
        {"values": [{"value": 1}], "error": "ValueError"},
        {"values": [{"value": 1}], "status": 3},
    ],
)
def test_no_forged_answer_passes(answer: dict[str, Any]) -> None:
    test = FunctionTest("t", (1,), 1)
    facts = judge.facts_of_answer(answer)
    compare = judge.comparator(None, "function")
    decision = judge.judge_function(test, compare, Limits(), facts, answer)
    assert decision.verdict == Verdict.RE


@given(st.dictionaries(st.sampled_from(["cpu_s", "wall_s", "peak_mib", "error", "status"]), JSON))
def test_what_a_process_says_of_itself_is_never_believed_blindly(frame: dict[str, Any]) -> None:
    facts = judge.facts_of_answer(frame)
    assert all(0 <= facts[name] < 1e6 for name in ("cpu_s", "wall_s", "peak_mib"))
    decision = judge.Decision(judge.failure(facts, Limits()) or Verdict.AC)
    assert judge.result_of("t", decision, facts, ("", "")).verdict == decision.verdict


@given(st.text(), st.integers(10, 100))
def test_texts_are_shortened_to_valid_unicode(text: str, limit: int) -> None:
    for short in (judge.shorten(text, limit), judge.tail(text, limit)):
        short.encode()
        assert len(short) <= len(text) + 60
    assert judge.shorten("a\ud800") == "a\\ud800"


def test_results_read_well() -> None:
    test = FunctionTest("t", ([1], "a"), (1,), {"k": None})
    assert judge.describe(test, "f") == ("f([1], 'a', k=None)", "(1,)")
    decision = judge.Decision(Verdict.WA, actual="x" * 10000)
    shown = judge.result_of("t", decision, {}, judge.describe(test, "f"))
    assert 4000 < len(shown.actual) < 4200 and "left out" in shown.actual
    big = judge.result(FunctionTest("t", (), 10**5000), Verdict.WA)
    assert big.expected.startswith("0x")
    assert judge.result(StdinTest("t", "in", "out"), Verdict.WA).expected == "out"
