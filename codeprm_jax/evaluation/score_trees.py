"""Searches that can be opened thought by thought, and how the few that are shown were chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from codeprm_jax.evaluation.page import (
    Html,
    bar,
    chip,
    clipped,
    details,
    joined,
    note,
    pre,
    table,
    text,
)
from codeprm_jax.files import stable_seed
from codeprm_jax.scoring.aggregate import aggregate

Record = Mapping[str, Any]
Outcome = Literal[
    "solved by a later attempt",
    "solved by the first attempt",
    "passes the public tests only",
    "fails public tests",
    "no answer",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

MAX_BYTES = 2_500_000  # of all searches that are shown
MAX_ATTEMPTS, MAX_NODES = 32, 160  # of one search
MAX_PROGRAM, MAX_VALUE, MAX_THOUGHT, MAX_STATEMENT = 6000, 500, 1200, 4000  # characters


def outcome(record: Record) -> Outcome:
    """How a search came out: by the private tests, then by the public ones."""
    answer = record["answer"]
    if answer is None:
        return "no answer"
    if record["private"]["passed"] == record["private"]["total"]:
        return "solved by a later attempt" if answer else "solved by the first attempt"
    feedback = record["attempts"][answer]["feedback"]
    whole = feedback["passed"] == feedback["total"]
    return "passes the public tests only" if whole else "fails public tests"


class Choice:
    """Chooses one search for each arm and outcome: the first by a hash of problem and repeat.

    The hash knows nothing of what a search looks like, and is the same for all arms, so that they
    are often seen on the same samples.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._chosen: dict[tuple[str, str], tuple[int, Record]] = {}

    def add(self, record: Record) -> None:
        """Takes in a search."""
        key = record["arm"], outcome(record)
        self.counts[key[0]][key[1]] += 1
        rank = stable_seed("shown", record["problem_id"], record["repeat"])
        if key not in self._chosen or rank < self._chosen[key][0]:
            self._chosen[key] = rank, record

    def of(self, arm: str, kind: Outcome) -> Record | None:
        """The search chosen for an arm and outcome."""
        found = self._chosen.get((arm, kind))
        return None if found is None else found[1]


def score_trees(
    choice: Choice,
    arms: Mapping[str, Mapping[str, Any]],
    statements: Mapping[str, str],
    budget: Mapping[str, Any],
    most_bytes: int = MAX_BYTES,
) -> Html:
    """The chosen searches, arm by arm, with a count of those not shown.

    Args:
      arms: name -> settings.
      statements: problem id -> public statement, as far as they are known.
      budget: amount and unit.
      most_bytes: searches that would exceed it are left out and counted.
    """
    shown: dict[str, list[Html]] = {arm: [] for arm in arms}
    left, count = most_bytes, 0
    dropped = 0
    for kind in OUTCOMES:
        for arm, settings in arms.items():
            record = choice.of(arm, kind)
            if record is None:
                continue
            statement = statements.get(record["problem_id"])
            drawn = search_tree(record, settings["aggregate"], statement, budget)
            size = len(drawn.encode("utf-8"))
            if size > left:
                dropped += 1
                continue
            left -= size
            count += 1
            shown[arm].append(drawn)
    total = sum(sum(c.values()) for c in choice.counts.values())
    cut = f" {dropped} more were chosen and left out to bound this page's size." if dropped else ""
    rows = [(arm, *(choice.counts[arm][kind] for kind in OUTCOMES)) for arm in arms]
    return joined(
        [
            note(
                f"{count} of {total:,} searches are shown, {total - count:,} are not: for each arm "
                "and outcome the one that comes first by a fixed hash of problem and repeat, which "
                f"does not look at the search.{cut} All are in results.jsonl. A bar is a PRM "
                "score, or in a tree the value of the prefix that ends in the thought. Only public "
                "tests were seen by the search; of the private ones this page has counts only."
            ),
            table(("searches by outcome", *OUTCOMES), rows),
            *(
                details(
                    f"{arm}: {len(found)} of {sum(choice.counts[arm].values()):,}", joined(found)
                )
                for arm, found in shown.items()
                if found
            ),
        ]
    )


def search_tree(record: Record, how: Any, statement: str | None, budget: Mapping[str, Any]) -> Html:
    """One search as an outline; each thought of its tree and each attempt opens by itself.

    Args:
      how: aggregate of the arm.
      statement: of the problem; None if it is not known.
    """
    drawing = _Drawing(record, how, f"{budget['amount']:g}")
    private = record["private"]
    unit = str(budget["unit"]).replace("_", " ")
    spent = f"{record['ledger']['spent']:g} of {drawing.budget} {unit}"
    summary = Html(
        f"<b>{text(outcome(record))}</b>: {text(record['problem_id'])}, repeat "
        f"{record['repeat'] + 1} ({text(record['group'])}) · attempts: {len(record['attempts'])} · "
        f"spent {text(spent)} · ended: {text(record['ended'])} · "
        f"private tests {private['passed']} of {private['total']}"
    )
    problem = (
        note("The statement is not in this folder.")
        if statement is None
        else details("the problem", pre(statement, MAX_STATEMENT))
    )
    return details(summary, joined([problem, drawing.outline(), drawing.left_out()]), "search")


@dataclass
class _Drawing:
    """A search being drawn. Attempts hang at the node they end in, or below their parent."""

    record: Record
    how: Any
    budget: str

    def __post_init__(self) -> None:
        self.attempts: Sequence[Record] = self.record["attempts"]
        self.tree: Sequence[Record] = self.record["tree"]
        self.answer: int | None = self.record["answer"]
        wanted = set(range(min(len(self.attempts), MAX_ATTEMPTS)))
        wanted |= self._ancestors(self.attempts, self.answer)
        nodes = set(range(min(len(self.tree), MAX_NODES)))
        for index in wanted:
            nodes |= self._ancestors(self.tree, self.attempts[index]["node"])
        self.at_node: dict[int | None, list[int]] = defaultdict(list)
        self.rewrites: dict[int, list[int]] = defaultdict(list)
        self.below: dict[int | None, list[int]] = defaultdict(list)
        for index in sorted(wanted):
            attempt = self.attempts[index]
            if attempt["node"] is None and attempt["parent"] is not None:
                self.rewrites[attempt["parent"]].append(index)
            else:
                self.at_node[attempt["node"]].append(index)
        for index in sorted(nodes):
            self.below[self.tree[index]["parent"]].append(index)
        self.shown = len(wanted), len(nodes)
        self.next: dict[int, list[int]] = defaultdict(list)
        for index, attempt in enumerate(self.attempts):
            if attempt["parent"] is not None:
                self.next[attempt["parent"]].append(index)
        self.path = self._way_to_answer()

    def outline(self) -> Html:
        """The whole tree."""
        if self.attempts:
            return self._branches(None)
        why = "the policy gave no program that could be run"
        if self.record["ended"] == "budget":
            why = "the budget did not suffice for a first program"
        if failures := self.record["failures"]:
            why += "; policy failures: " + ", ".join(f"{k} {n:,}" for k, n in failures.items())
        return joined([note(f"Nothing was run: {why}."), self._branches(None)])

    def left_out(self) -> Html:
        """What of the search is not shown."""
        attempts, nodes = self.shown
        if (attempts, nodes) == (len(self.attempts), len(self.tree)):
            return Html("")
        return note(
            f"Not shown: {len(self.attempts) - attempts} later attempts and "
            f"{len(self.tree) - nodes} later thoughts of the tree."
        )

    def _branches(self, node: int | None) -> Html:
        items = [self._node(index) for index in self.below[node]]
        items += [self._attempt(index) for index in self.at_node[node]]
        return _list(items)

    def _node(self, index: int) -> Html:
        node = self.tree[index]
        remarks = []
        if node["value"] is not None:
            remarks.append(bar(node["value"], "value"))
        if node["visits"]:
            remarks.append(chip(f"visits {node['visits']}"))
        if node["best"] is not None:
            remarks.append(chip(f"best return {node['best']:.2f}"))
        if node["replaced"]:
            remarks.append(chip("replaced by a rewrite", "bad"))
        shown = Html(
            f"<span class=thought>{clipped(node['thought'], MAX_THOUGHT)}</span> {joined(remarks)}"
        )
        kind = "node replaced" if node["replaced"] else "node"
        if not (self.below[index] or self.at_node[index]):
            return Html(f'<li><div class="{kind}">{shown}</div></li>\n')
        return Html(f"<li>{details(shown, self._branches(index), kind, index in self.path)}</li>\n")

    def _attempt(self, index: int) -> Html:
        attempt = self.attempts[index]
        parent = attempt["parent"]
        origin = f"sample {attempt['sample'] + 1}"
        if parent is not None:
            what = ", ".join(str(i + 1) for i in attempt["rewritten"])
            what = f"thought {what}" if what else "all thoughts"
            origin = f"{what} of attempt {parent + 1} rewritten"
        remarks = [
            _passed("public", attempt["feedback"]),
            _passed("private", attempt["private"]),
            chip(f"spent {attempt['spent']:g} of {self.budget}"),
        ]
        if attempt["scores"]:
            remarks.insert(0, bar(aggregate(attempt["scores"], self.how), "PRM"))
        if index == self.answer:
            remarks.append(chip("the answer", "mark"))
        body = joined(
            [
                self._thoughts(index),
                _failures(attempt["feedback"]),
                pre(attempt["program"], MAX_PROGRAM),
            ]
        )
        kind = "attempt answer" if index == self.answer else "attempt"
        shown = Html(f"Attempt {index + 1}: {text(origin)} {joined(remarks)}")
        after = _list([self._attempt(i) for i in self.rewrites[index]])
        return Html(f"<li>{details(shown, body, kind)}{after}</li>\n")

    def _thoughts(self, index: int) -> Html:
        """The thoughts of an attempt: what is new in it, and what is rewritten later."""
        attempt = self.attempts[index]
        parent = None if attempt["parent"] is None else self.attempts[attempt["parent"]]
        items = []
        for place, thought in enumerate(attempt["thoughts"]):
            shown = clipped(thought, MAX_THOUGHT)
            before = None
            if parent is not None:
                before = (*parent["thoughts"][place : place + 1], "")[0]
            if before is not None and (place in attempt["rewritten"] or before != thought):
                old = Html(f"<del>{clipped(before, MAX_THOUGHT)}</del> ") if before else ""
                tag = "rewritten" if place in attempt["rewritten"] else "anew"
                shown = Html(f"{old}<ins>{shown}</ins> {chip(tag, 'good')}")
            later = [i + 1 for i in self.next[index] if place in self.attempts[i]["rewritten"]]
            if later:
                tag = f"rewritten in attempt {', '.join(map(str, later))}"
                shown = Html(f"{shown} {chip(tag, 'bad')}")
            scores = attempt["scores"]
            score = bar(scores[place], "PRM") if scores else ""
            items.append(Html(f"<li><div><span>{shown}</span>{score}</div></li>\n"))
        return Html(f"<ol class=thoughts>\n{joined(items)}</ol>\n")

    def _way_to_answer(self) -> set[int]:
        """Nodes above the answer; those above the attempt it was rewritten from, if it has none."""
        index = self.answer
        while index is not None and self.attempts[index]["node"] is None:
            index = self.attempts[index]["parent"]
        return set() if index is None else self._ancestors(self.tree, self.attempts[index]["node"])

    @staticmethod
    def _ancestors(items: Sequence[Record], index: int | None) -> set[int]:
        """An index and all that it descends from."""
        found = set()
        while index is not None:
            found.add(index)
            index = items[index]["parent"]
        return found


def _list(items: Sequence[Html]) -> Html:
    return Html(f"<ul class=tree>\n{joined(items)}</ul>\n") if items else Html("")


def _passed(name: str, counts: Mapping[str, int]) -> Html:
    passed, total = counts["passed"], counts["total"]
    kind, sign = ("good", "✓") if passed == total else ("bad", "✗")
    return chip(f"{sign} {name} {passed}/{total}", kind)


def _failures(feedback: Mapping[str, Any]) -> Html:
    """The failing public tests that the search was told of."""
    rows = []
    for failure in feedback["failures"]:
        actual = failure["actual"]
        if not actual.strip():
            actual = failure["stderr"].strip()[-MAX_VALUE:]
        values = (failure["input"], failure["expected"], actual)
        rows.append((failure["verdict"], *(pre(v.rstrip("\n"), MAX_VALUE) for v in values)))
    if not rows:
        return Html("")
    head = ("failing public test", "input", "expected", "actual, or the error")
    return table(head, rows, words=(1, 2, 3))
