"""Interchange: what goes through a form comes back, and what a form cannot hold is named."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codeprm_jax.files import InputError
from codeprm_jax.traces.interchange.conversion import ImportOptions, read_record
from codeprm_jax.traces.interchange.export import ExportOptions, build, losses, outgoing
from codeprm_jax.traces.interchange.form import CARRIED, Foreign, Imported
from codeprm_jax.traces.interchange.records import parse, same_json
from codeprm_jax.traces.trace import Failure, Feedback, StepCounts, Trace
from tests.traces.foreign_records import OURS, PRM, RELEASE, SHEPHERD, TRL, changed

# Any text that JSON can say, lone surrogates among it.
texts = st.text(st.characters(exclude_categories=()), max_size=12)
words = st.text("abc +-\nк и12:", min_size=1, max_size=10).map(str.strip).filter(bool)
rates = st.one_of(st.floats(0, 1), st.integers(0, 1))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
extras = st.dictionaries(texts.filter(lambda k: k not in _TAKEN), values, max_size=2)
_TAKEN = {
    *("prompt", "completions", "labels", "input", "label", "task", "gaps", "question", CARRIED),
    *("problem", "steps", "text", "rating", "chosen_completion", "human_completion"),
    *("ques_id", "thought", "avg_pass_rate", "current_trace_code", "total_pass_rate_list", "state"),
}


@st.composite
def trl_records(draw: st.DrawFn) -> dict[str, Any]:
    completions = draw(st.lists(texts, min_size=1, max_size=4))
    kind = draw(st.sampled_from([st.booleans(), rates]))
    labels = draw(st.lists(kind, min_size=len(completions), max_size=len(completions)))
    return {"prompt": draw(texts), "completions": completions, "labels": labels} | draw(extras)


@st.composite
def prm800k_records(draw: st.DrawFn) -> dict[str, Any]:
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        rated = st.fixed_dictionaries(
            {"text": texts, "rating": st.sampled_from([-1, 0, 1, None])},
            optional={"flagged": st.none() | st.booleans()},
        )
        completions = draw(st.lists(rated, max_size=3))
        chosen = draw(st.none() | st.integers(0, len(completions) - 1)) if completions else None
        human = draw(st.none() | texts | st.fixed_dictionaries({"text": texts}))
        step = {"completions": completions, "human_completion": human, "chosen_completion": chosen}
        steps.append(step | draw(extras))
    first = steps[0]
    assume(first["completions"] or first["human_completion"] is not None)
    question = {"problem": draw(texts), "ground_truth_answer": draw(texts)} | draw(extras)
    label = {"steps": steps, "finish_reason": "found_error", "total_time": 3} | draw(extras)
    return {"labeler": "a", "question": question, "label": label} | draw(extras)


@st.composite
def math_shepherd_records(draw: st.DrawFn) -> dict[str, Any]:
    gap = st.sampled_from(["", " ", "\n", " \n\n"])
    parts = [draw(words) + draw(st.sampled_from([" ", "\n", "  "]))]
    marks = [""]
    for n in range(draw(st.integers(1, 4))):
        parts.append(f"{draw(gap) if n else ''}Step {n + 1}: {draw(words)}{draw(gap)}")
        marks.append(draw(st.sampled_from("+-")))
    end = draw(gap)
    assume("ки" not in "".join(parts))
    tagged = parts[0] + "".join(p + "ки" for p in parts[1:]) + end
    label = "".join(p + m for p, m in zip(parts, marks, strict=True)) + end
    assume(tagged.count("ки") == len(parts) - 1)
    return {"input": tagged, "label": label, "task": draw(words)} | draw(extras)


@st.composite
def release_records(draw: st.DrawFn) -> dict[str, Any]:
    question = draw(texts)
    label: dict[str, list[Any]] = {"trace_9_steps": []}
    for n in range(draw(st.integers(1, 3))):
        steps, said = [], question
        shared, program = draw(extras), draw(texts)
        for _ in range(draw(st.integers(1, 3))):
            thought = draw(texts)
            said += "\n" + thought
            lists = draw(st.lists(rates, min_size=1, max_size=3))
            step = {
                "state": said if draw(st.booleans()) else draw(texts),
                "thought": thought,
                "avg_pass_rate": sum(lists) / len(lists),
                "current_trace_code": program,
                **shared,
                **draw(extras),
            }
            steps.append(step | ({"total_pass_rate_list": lists} if draw(st.booleans()) else {}))
        label[f"trace_{n}_steps"] = steps
    ques_id = draw(st.integers(0, 9) | texts)
    return {"ques_id": ques_id, "question": question, "label": label} | draw(extras)


@st.composite
def our_traces(draw: st.DrawFn) -> Trace:
    thoughts = tuple(draw(st.lists(words, min_size=1, max_size=4)))
    assume("ки" not in "".join(thoughts))
    steps = []
    for _ in thoughts:
        trials = draw(st.integers(1, 9))
        passes = draw(st.integers(0, trials))
        steps.append(StepCounts(passes, trials, draw(st.floats(passes, trials))))
    failure = st.builds(Failure, texts, texts, texts, texts, texts, texts)
    failures = st.lists(failure, max_size=2).map(tuple)
    return Trace(
        id=draw(texts),
        problem_id="p",
        thoughts=thoughts,
        program=draw(texts),
        public=draw(st.none() | st.builds(Feedback, st.integers(0, 3), st.just(3), failures)),
        steps=tuple(steps),
        outcome=draw(st.none() | st.tuples(st.integers(0, 3), st.just(3))),
        provenance=draw(extras) | {"parent": ["a", 1]},
        tier=draw(st.none() | texts),
    )


def through_ours(record: dict[str, Any], form: Foreign) -> dict[str, Any]:
    """A record to our traces, to lines of text, and back."""
    before = copy.deepcopy(record)
    traces = read_record(record, 3, form)
    assert same_json(record, before)  # the reader leaves its input alone
    again = [Trace.from_json(parse(json.dumps(t.to_json()))) for t in traces]
    assert again == traces
    group = [outgoing(t, form, {}, ExportOptions()) for t in again]
    assert [losses(item, form) for item in group] == [[]] * len(group)
    return build(group, form)


@given(trl_records())
def test_trl_comes_back(record: dict[str, Any]) -> None:
    assert same_json(through_ours(record, "trl"), record)


@given(prm800k_records())
def test_prm800k_comes_back(record: dict[str, Any]) -> None:
    assert same_json(through_ours(record, "prm800k"), record)


@given(math_shepherd_records())
def test_math_shepherd_comes_back(record: dict[str, Any]) -> None:
    assert same_json(through_ours(record, "math_shepherd"), record)


@given(release_records())
def test_the_release_comes_back(record: dict[str, Any]) -> None:
    assert same_json(through_ours(record, "release"), record)


@pytest.mark.parametrize("form", ["trl", "prm800k", "math_shepherd", "release"])
@pytest.mark.parametrize("target", ["pass_rate", "success_rate"])
@given(trace=our_traces())
def test_ours_comes_back_with_what_is_carried(form: Foreign, target: Any, trace: Trace) -> None:
    hard = None if form == "release" else 0.5
    for threshold in {hard, None if form == "trl" else hard}:
        options = ExportOptions(target, threshold, carry=True)
        item = outgoing(trace, form, {"p": "Add.\nThen"}, options)
        assert losses(item, form) == []
        record = parse(json.dumps(build([item], form)))
        (again,) = read_record(record, 1, form)
        assert again == trace and same_json(again.to_json(), trace.to_json())


@given(st.one_of(prm800k_records(), math_shepherd_records()))
def test_a_foreign_record_survives_a_visit_to_trl(record: dict[str, Any]) -> None:
    """PRM800K to TRL with the rest carried, back to ours, to PRM800K: the same object."""
    form: Foreign = "math_shepherd" if "input" in record else "prm800k"
    (trace,) = read_record(copy.deepcopy(record), 1, form)
    imported = Imported.of(trace)
    assume(imported is not None and None not in imported.labels)
    visit = build([outgoing(trace, "trl", {}, ExportOptions(carry=True))], "trl")
    assert all(isinstance(x, bool) for x in visit["labels"])
    (again,) = read_record(parse(json.dumps(visit)), 7, "trl")
    assert again == trace
    assert same_json(build([outgoing(again, form, {}, ExportOptions())], form), record)


def test_what_is_read_of_each_form() -> None:
    (trl,) = read_record(dict(TRL), 3, "trl")
    assert (trl.id, trl.thoughts, trl.steps) == ("trl/3", ("a", "b"), None)
    assert Imported.of(trl) == Imported("trl", "Add.", (0.25, 1.0), {})
    (other,) = read_record(changed(TRL, "labels", [True, False]), 4, "trl")
    assert other.problem_id == trl.problem_id and other.id != trl.id
    (prm,) = read_record(PRM, 1, "prm800k")
    imported = Imported.of(prm)
    assert prm.thoughts == ("a", "b", "c")  # chosen, a person's, the last without a choice
    assert imported is not None and imported.labels == (0, 1, -1)
    (shepherd,) = read_record(dict(SHEPHERD), 1, "math_shepherd")
    assert shepherd.thoughts == ("Step 1: One.", "Step 2: It is 1+1 - 0.")
    imported = Imported.of(shepherd)
    assert imported == Imported("math_shepherd", "Add 1 + 1.", (True, False), {"task": "GSM8K"})
    (release,) = read_record(RELEASE, 1, "release", ImportOptions("apps/"))
    assert release.problem_id == "apps/4100" and release.program == "print(1)"
    assert release.steps == (StepCounts(1, 2, 1.5),)  # the rollouts are there: no invention


@pytest.mark.parametrize(
    ("form", "record", "path", "value", "message"),
    [
        ("trl", TRL, "completions", [], "'completions' is empty"),
        ("trl", TRL, "completions", ["a"], "2 labels for 1 completions"),
        ("trl", TRL, "completions.1", 3, "'completions', item 2"),
        ("trl", TRL, "labels", "drop", "'labels' is missing"),
        ("trl", TRL, "labels.1", 1.5, r"item 2 is 1.5.* in \[0, 1\]"),
        ("trl", TRL, "labels.0", True, "mixes booleans and numbers"),
        ("trl", TRL, "labels.0", None, "item 1 is None"),
        ("trl", TRL, "prompt", ["a"], "'prompt' must be a string, not a list"),
        ("trl", TRL, "codeprm", {"a": 1}, "not the string"),
        ("trl", TRL, "codeprm", "{}", "'codeprm' is damaged"),
        ("trl", TRL, "codeprm", "[", "'codeprm' is damaged"),
        ("prm800k", PRM, "question", "drop", "'question' is missing"),
        ("prm800k", PRM, "label.steps", [], "holds no step"),
        ("prm800k", PRM, "label.steps.0.completions", [], "step 1: chosen_completion 0 of 0"),
        ("prm800k", PRM, "label.steps.0.completions.0.rating", 2, "step 1: rating 2 is none of"),
        ("prm800k", PRM, "label.steps.0.completions.0.rating", True, "not a boolean"),
        ("prm800k", PRM, "label.steps.0.chosen_completion", "drop", "step 1: field 'chosen"),
        ("prm800k", PRM, "label.steps.1.human_completion", 4, "step 2: field 'human_comp"),
        ("math_shepherd", SHEPHERD, "task", "drop", "'task' is missing"),
        ("math_shepherd", SHEPHERD, "input", "Add. Step 1: One.", "no tag 'ки'"),
        ("math_shepherd", SHEPHERD, "label", "Add 1 + 1. Step 1: One. ки", "contains the tag"),
        ("math_shepherd", SHEPHERD, "label", "Add 1 + 1. Step 1: One. *", "neither"),
        ("math_shepherd", SHEPHERD, "label", "Add 1 - 1.", "not the text of 'input'"),
        ("math_shepherd", SHEPHERD, "label", SHEPHERD["label"] + " x", "goes on behind"),
        ("math_shepherd", SHEPHERD, "input", SHEPHERD["input"] + " x", "without a label"),
        ("release", RELEASE, "ques_id", "drop", "'ques_id' is missing"),
        ("release", RELEASE, "label", {"t": []}, "no trace with steps"),
        ("release", RELEASE, "label.trace_0_steps.0.thought", "drop",
         "label.trace_0_steps: step 1: field 'thought' is missing"),
        ("release", RELEASE, "label.trace_0_steps.0.avg_pass_rate", 0.5, "not the mean"),
        ("release", RELEASE, "label.trace_0_steps.0.total_pass_rate_list", [2], "a pass rate is 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    form: Foreign, record: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_record(changed(record, path, value), 1, form)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": [-Infinity]}', "-Infinity"),
        ('{"a": 1e999}', "beyond the range"),
        ('{"a": {"b": 1, "b": 2}}', "'b' is there twice"),
        ('{"a": ', "not valid JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "not valid JSON"),
    ],
)
def test_json_that_would_change_is_refused(line: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(line)


def out_of(trace: Trace, form: Foreign, **options: Any) -> dict[str, Any]:
    return build([outgoing(trace, form, {"bank/a": "Add."}, ExportOptions(**options))], form)


def test_what_ours_becomes() -> None:
    assert out_of(OURS, "trl")["labels"] == [0.625, 0.25]
    assert out_of(OURS, "trl", target="success_rate")["labels"] == [0.25, 0.0]
    assert out_of(OURS, "trl", hard_labels=0.3)["labels"] == [True, False]
    assert out_of(OURS, "math_shepherd", hard_labels=0.3) == {
        "input": "Add. Step 1: Read. ки\nStep 2: Print. ки",
        "label": "Add. Step 1: Read. +\nStep 2: Print. -",
        "task": "codeprm",
    }
    steps = out_of(OURS, "prm800k", hard_labels=0.3)["label"]["steps"]
    assert [s["completions"][0]["rating"] for s in steps] == [1, -1]
    (first, second) = out_of(OURS, "release")["label"]["trace_0_steps"]
    assert (first["avg_pass_rate"], first["avg_pass_1"], first["mcs"]) == (0.625, 0.25, 1.0)
    assert second["mcs"] == 0.0 and second["current_trace_score"] == 1 / 3
    assert "total_pass_rate_list" not in first  # the single rates are not known
    (trl,) = read_record(dict(TRL), 1, "trl")
    for form in ("math_shepherd", "prm800k"):
        with pytest.raises(InputError, match=r"0.25 is a share.*--hard-labels"):
            out_of(trl, form)  # type: ignore[arg-type]
    (prm,) = read_record(PRM, 1, "prm800k")
    assert out_of(prm, "trl")["labels"] == [True, True, False]


def test_losses_are_exactly_what_is_lost() -> None:
    def lost(trace: Trace, form: Foreign, **options: Any) -> set[str]:
        item = outgoing(trace, form, {"bank/a": "Add."}, ExportOptions(**options))
        return set(losses(item, form))

    counts, everything = "passes and trials of the steps", {"trace id", "outcome", "provenance"}
    assert lost(OURS, "trl") == everything | {"program", "feedback", counts, "problem id"}
    assert lost(OURS, "release") == everything | {"feedback (its text is kept)", counts}
    assert lost(OURS, "trl", carry=True) == set()
    (release,) = read_record(RELEASE, 1, "release")
    fields = "current_trace_train_exe, saved_flag, test_reward, total_pass_rate_list"
    assert lost(release, "trl") == {"program", counts, f"fields of release: {fields}"}
    assert lost(release, "release") == set()
    (prm,) = read_record(PRM, 1, "prm800k")
    assert lost(prm, "trl") == {
        "fields of prm800k: completions that were not chosen",
        "rating 0 (neutral), written as a good step",
    }
    (trl,) = read_record(TRL | {"index": 3}, 1, "trl")
    assert lost(trl, "math_shepherd", hard_labels=0.5) == {"fields of trl: index"}
    relabelled = replace(trl, steps=OURS.steps)
    assert lost(relabelled, "trl") == {
        counts, "the labels that were imported, which counts have replaced"
    }  # fmt: skip
    assert out_of(relabelled, "trl")["labels"] == [0.625, 0.25]


def test_counts_are_never_invented() -> None:
    """Only with --trials, and only where a label can be a share of so many rollouts."""
    (plain,) = read_record(dict(TRL), 1, "trl")
    assert plain.steps is None
    (claimed,) = read_record(dict(TRL), 1, "trl", ImportOptions(trials=4))
    assert claimed.steps == (StepCounts(1, 4, 1.0), StepCounts(4, 4, 4.0))
    assert out_of(claimed, "trl") == TRL
    with pytest.raises(InputError, match="no share of 3 rollouts"):
        read_record(dict(TRL), 1, "trl", ImportOptions(trials=3))
    with pytest.raises(InputError, match="one judgement"):
        read_record(changed(TRL, "labels", [True, False]), 1, "trl", ImportOptions(trials=2))


@pytest.mark.parametrize(
    ("trace", "form", "message"),
    [
        (replace(OURS, thoughts=("a ки b", "c")), "math_shepherd", "thought 1 contains the tag"),
        (replace(OURS, thoughts=(" a", "b")), "trl", None),
        (replace(OURS, thoughts=("Step 1: a ", "b")), "math_shepherd", "white space"),
        (replace(OURS, thoughts=(), steps=None), "trl", "no thoughts"),
        (replace(OURS, steps=None), "trl", "sandbox-runner label"),
        (replace(OURS, problem_id="bank/z"), "trl", "--problems"),
    ],
)
def test_what_cannot_be_written_is_named(trace: Trace, form: Foreign, message: str | None) -> None:
    if message is None:
        out_of(trace, form)
        return
    with pytest.raises(InputError, match=message):
        out_of(trace, form, hard_labels=0.5)


def test_a_record_that_was_changed_is_not_restored() -> None:
    record = out_of(OURS, "trl", carry=True)
    assert read_record(dict(record), 1, "trl") == [OURS]
    for name, value in (("labels", [0.5, 0.25]), ("completions", ["Read.", "Stop."]), ("n", 1)):
        with pytest.raises(InputError, match=rf"another trace than {name}: the record was changed"):
            read_record(record | {name: value}, 1, "trl")
    again = read_record({k: v for k, v in record.items() if k != CARRIED}, 1, "trl")
    assert again != [OURS]
