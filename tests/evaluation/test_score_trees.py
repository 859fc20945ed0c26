from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from report_parser import PageParser

from codeprm_jax.evaluation.score_trees import (
    MAX_ATTEMPTS,
    MAX_NODES,
    OUTCOMES,
    Choice,
    outcome,
    score_trees,
    search_tree,
)

BUDGET = {"amount": 8, "unit": "executions"}
ARMS: dict[str, dict[str, Any]] = {"one": {"aggregate": "last"}, "two": {"aggregate": "last"}}


def attempt(parent: int | None = None, node: int | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "thoughts": ["first", "second"],
        "program": "pass",
        "feedback": {"passed": 0, "total": 1, "failures": []},
        "sample": 0,
        "parent": parent,
        "rewritten": [] if parent is None else [1],
        "spent": 1,
        "scores": None,
        "node": node,
        "private": {"passed": 0, "total": 2},
    } | changes


def record(
    attempts: list[dict[str, Any]], tree: list[dict[str, Any]] | None = None, **changes: Any
) -> dict[str, Any]:
    return {
        "problem_id": "bank/x",
        "repeat": 0,
        "arm": "one",
        "group": "all",
        "private": {"passed": 0, "total": 2},
        "attempts": attempts,
        "tree": tree or [],
        "answer": 0 if attempts else None,
        "ended": "budget",
        "failures": {},
        "ledger": {"spent": 3},
    } | changes


def node(parent: int | None, thought: str = "t", **changes: Any) -> dict[str, Any]:
    return {
        "parent": parent,
        "thought": thought,
        "value": None,
        "visits": 0,
        "best": None,
        "replaced": False,
    } | changes


@st.composite
def searches(draw: st.DrawFn) -> dict[str, Any]:
    """Any tree of thoughts, and attempts that stand in it or were rewritten from each other."""
    count = draw(st.integers(0, 12))
    tree = [node(draw(st.none() | st.integers(0, i - 1)) if i else None) for i in range(count)]
    attempts = []
    for i in range(draw(st.integers(0, 12))):
        parent = draw(st.none() | st.integers(0, i - 1)) if i else None
        place = draw(st.none() | st.integers(0, count - 1)) if count else None
        thoughts = draw(st.lists(st.text(max_size=5), min_size=1, max_size=3))
        rewritten = [] if parent is None else draw(st.lists(st.integers(0, 2), max_size=2))
        scores = draw(st.none() | st.just([0.5] * len(thoughts)))
        changes = {"thoughts": thoughts, "rewritten": rewritten, "scores": scores}
        attempts.append(attempt(parent, place, **changes))
    answer = draw(st.integers(0, len(attempts) - 1)) if attempts else None
    return record(attempts, tree, answer=answer)


@given(searches())
def test_every_attempt_and_every_thought_of_a_tree_is_shown_once(search: dict[str, Any]) -> None:
    shown = search_tree(search, "last", "statement", BUDGET)
    PageParser(shown)
    numbers = sorted(int(n) for n in re.findall(r"<summary>Attempt (\d+):", shown))
    assert numbers == list(range(1, len(search["attempts"]) + 1))
    assert shown.count("<span class=thought>") == len(search["tree"])
    assert shown.count("the answer") == (search["answer"] is not None)


def test_a_rewrite_shows_the_old_thought_and_the_new_one() -> None:
    before = attempt(scores=[0.9, 0.1])
    after = attempt(0, thoughts=["first", "better"], private={"passed": 2, "total": 2})
    shown = search_tree(record([before, after], answer=1), "last", None, BUDGET)
    assert "<del>second</del> <ins>better</ins>" in shown
    assert "rewritten in attempt 2" in shown and "thought 2 of attempt 1 rewritten" in shown
    assert "PRM 0.90" in shown and "PRM 0.10" in shown
    assert "✗ private 0/2" in shown and "✓ private 2/2" in shown


def test_values_visits_and_replaced_thoughts_are_marked() -> None:
    tree = [
        node(None, "old", value=0.25, visits=3, best=1.5, replaced=True),
        node(None, "new"),
        node(1, "below"),
    ]
    shown = search_tree(record([attempt(node=2)], tree), "last", None, BUDGET)
    assert "value 0.25" in shown and "visits 3" in shown and "best return 1.50" in shown
    assert "replaced by a rewrite" in shown
    opened = re.findall(r'<details class="node[^"]*" open>', shown)
    assert len(opened) == 2, "the way to the answer is open"


def test_failing_tests_show_the_error_where_nothing_was_returned() -> None:
    failure = {"id": "p", "verdict": "RE", "input": "f(1)", "expected": "2", "actual": ""}
    feedback = {"passed": 0, "total": 1, "failures": [failure | {"stderr": "ZeroDivisionError"}]}
    shown = PageParser(search_tree(record([attempt(feedback=feedback)]), "last", None, BUDGET)).text
    assert all(part in shown for part in ("RE", "f(1)", "2", "ZeroDivisionError"))


def test_a_search_that_ran_nothing_says_why() -> None:
    def shown(ended: str, failures: dict[str, int]) -> str:
        tree = [node(None, "the only thought")]
        search = record([], tree, ended=ended, failures=failures)
        return PageParser(search_tree(search, "last", None, BUDGET)).text

    assert "budget did not suffice" in shown("budget", {})
    both = shown("budget", {"cut off": 2})
    assert "budget did not suffice" in both and "cut off 2" in both
    failed = shown("gave up", {"no thoughts": 7, "empty": 1})
    assert "gave no program" in failed and "no thoughts 7, empty 1" in failed
    assert "budget did not" not in failed and "the only thought" in failed
    assert "gave no program" in shown("done", {"no code": 1})


def test_outcomes() -> None:
    passing = {"feedback": {"passed": 1, "total": 1, "failures": []}}
    whole = {"private": {"passed": 2, "total": 2}}
    found = [
        outcome(record([attempt(), attempt()], answer=1, **whole)),
        outcome(record([attempt()], **whole)),
        outcome(record([attempt(**passing)])),
        outcome(record([attempt()])),
        outcome(record([])),
    ]
    assert found == list(OUTCOMES)


def test_the_choice_knows_nothing_of_order_and_counts_everything() -> None:
    records = [
        record([attempt()], problem_id=f"bank/{i}", repeat=r, arm=arm)
        for i in range(9)
        for r in range(3)
        for arm in ARMS
    ]
    chosen = []
    for seed in range(3):
        choice = Choice()
        for item in random.Random(seed).sample(records, len(records)):
            choice.add(item)
        kinds = [choice.of(arm, "fails public tests") for arm in ARMS]
        chosen.append([(k["problem_id"], k["repeat"]) for k in kinds if k])
        assert choice.counts["one"]["fails public tests"] == 27
    assert chosen[0] == chosen[1] == chosen[2]
    assert chosen[0][0] == chosen[0][1], "arms are shown on the same problem"


def test_what_is_not_shown_is_counted_and_the_size_is_bounded() -> None:
    choice = Choice()
    for i in range(40):
        choice.add(record([attempt(program="x" * 5000)], problem_id=str(i), arm="one"))
        choice.add(record([], problem_id=str(i), arm="two"))
    whole = score_trees(choice, ARMS, {}, BUDGET)
    assert "2 of 80 searches are shown, 78 are not" in whole
    small = score_trees(choice, ARMS, {}, BUDGET, most_bytes=3000)
    assert "1 of 80 searches are shown" in small and "1 more were chosen" in small
    assert len(small) < len(whole) - 5000


def test_a_long_search_keeps_its_answer_and_says_what_is_missing() -> None:
    attempts = [attempt(None if i == 0 else i - 1 if i > 290 else 0) for i in range(300)]
    shown = search_tree(record(attempts, answer=299), "last", None, BUDGET)
    numbers = {int(n) for n in re.findall(r"<summary>Attempt (\d+):", shown)}
    assert set(range(1, MAX_ATTEMPTS + 1)) | set(range(291, 301)) <= numbers
    assert f"Not shown: {300 - len(numbers)} later attempts" in shown
    tree = [node(i - 1 if i else None) for i in range(MAX_NODES + 40)]
    deep = search_tree(record([attempt(node=MAX_NODES + 20)], tree), "last", None, BUDGET)
    assert deep.count("<span class=thought>") == MAX_NODES + 21
    assert "19 later thoughts" in deep


def test_long_texts_are_cut() -> None:
    feedback = {"passed": 0, "total": 1, "failures": []}
    failure = {"id": "p", "verdict": "WA", "input": "i" * 10**6, "stderr": ""}
    failure |= {"expected": "e" * 10**6, "actual": "a" * 10**6}
    changes = {"program": "p" * 10**6, "feedback": feedback | {"failures": [failure] * 5}}
    shown = search_tree(record([attempt(**changes)]), "last", "s" * 10**6, BUDGET)
    assert len(shown) < 30_000 and "more characters" in shown
