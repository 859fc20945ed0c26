"""The report's sections that no summary holds: read from the searches and the stages themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codeprm_jax.evaluation import charts
from codeprm_jax.evaluation.calibration import Calibration
from codeprm_jax.evaluation.page import (
    Html,
    cards,
    counts_bar,
    heading,
    interval,
    joined,
    note,
    number,
    share,
    signed,
    table,
    text,
)
from codeprm_jax.evaluation.rewrites import Rewrites
from codeprm_jax.evaluation.score_trees import Choice


@dataclass
class Readings:
    """What the page needs of the searches themselves, read one by one.

    Attributes:
      arms: name -> settings of the arms that are reported.
      searches: of these arms.
      other: searches of arms that the summary does not name.
    """

    arms: Mapping[str, Mapping[str, Any]]
    calibration: dict[str, Calibration] = field(default_factory=dict)
    rewrites: dict[str, Rewrites] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)
    searches: int = 0
    other: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes in a search."""
        if record["arm"] not in self.arms:
            self.other += 1
            return
        self.searches += 1
        group = record["group"]
        self.calibration.setdefault(group, Calibration(self.arms)).add(record)
        self.rewrites.setdefault(group, Rewrites()).add(record)
        self.choice.add(record)


def calibration(readings: Readings, groups: Sequence[str]) -> Html:
    """Reliability of the PRM's scores of attempts, per group."""
    parts = []
    for number_, name in enumerate(groups):
        found = readings.calibration[name].result() if name in readings.calibration else None
        if found is None:
            parts.append(note(f"{name}: no attempt was scored by a PRM."))
            continue
        if found["ranks"]:
            which = (
                f"{found['attempts']:,} attempts of “{found['arm']}”, which has every attempt "
                "scored, whether it passes or not"
            )
        else:
            which = (
                f"{found['attempts']:,} attempts of “{found['arm']}”. It has only failing attempts "
                "scored, to find the thought to rewrite, so that few of them can pass, and this "
                "says little about scores of good attempts"
            )
        rows = [
            (
                f"{b['low']:.1f} to {b['high']:.1f}",
                b["attempts"],
                b["problems"],
                number(b["score"]),
                interval(b["solved_interval"]),
                number(b["pass_rate"]),
            )
            for b in found["bins"]
        ]
        head = (
            "score",
            "attempts",
            "problems",
            "mean score",
            "share that passes all private tests",
            "mean private pass rate",
        )
        parts += [
            heading(name),
            note(
                f"{which}. The score of an attempt is the {found['aggregate']} of its thoughts' "
                f"scores. Not scored (too long, or no need): {found['unscored']:,} attempts of "
                "this arm. Attempts of one problem are not independent; the intervals resample "
                f"{found['problems']} problems."
            ),
            cards(
                [
                    (number(found["ece"]), "ECE against passing all private tests"),
                    (number(found["ece_pass_rate"]), "ECE against the private pass rate"),
                    (number(found["auroc"]), "AUROC for passing all private tests"),
                    (
                        number(found["auroc_public"]),
                        "AUROC among attempts that pass all public tests",
                    ),
                ]
            ),
            charts.charts(
                [
                    charts.reliability(
                        f"reliability-{number_}", f"Reliability: {name}", found["bins"]
                    )
                ]
            ),
            table(head, rows, "Bins of the score"),
            note(
                "Which of the two a score should match depends on the labels of its training: "
                "success rates or pass rates. ECE: mean distance between score and outcome over "
                "the bins, weighted by their attempts."
            ),
        ]
    return joined(parts)


def refinements(readings: Readings, summary: Mapping[str, Any]) -> Html:
    """What rewrites did, per arm and step."""
    parts = [
        note(
            "A rewrite helped if the private pass rate of the attempt is higher than that of the "
            "attempt it was made from, and harmed if it is lower. In each cell: helped / harmed / "
            "neutral; the bar has them in green, red and grey. Arms begin with the same "
            "samples, but what they rewrite later depends on what they rewrote before."
        )
    ]
    for name in summary["groups"]:
        found = readings.rewrites.get(name, Rewrites())
        rows = []
        for arm in summary["arms"]:
            change = found.mean_change(arm)
            if change is None:
                continue
            cells = [effects(found.counts(arm, place)) for place in found.places]
            rows.append((arm, effects(found.counts(arm)), signed(change), *cells))
        parts.append(heading(name))
        if rows:
            head = ("arm", "all rewrites", "mean change of pass rate", *found.places)
            parts.append(table(head, rows))
        else:
            parts.append(note("Nothing was rewritten."))
    return joined(parts)


def stages(starts: Sequence[Mapping[str, Any]]) -> Html:
    """How busy policy, sandbox and scorer were, for each start of the run."""
    parts = [
        note(
            "A stage's share is its seconds of work, added up, over what its places could have "
            "done in the wall time. No run can end before its busiest stage has done its work with "
            "all places full: that is the bound. For a policy or a scorer behind a server the "
            "places are the requests that may be open at once, not what the server can bear."
        )
    ]
    if not starts:
        parts.append(note("It was not recorded in this folder."))
    for count, start in enumerate(starts, 1):
        wall = start["wall_seconds"]
        found = start["stages"]
        bounds = {n: s["worked_seconds"] / s["capacity"] for n, s in found.items()}
        busiest = max(bounds, key=lambda n: bounds[n])
        rows = [
            (
                name,
                f"{s['capacity']:,}",
                f"{s['done']:,}",
                f"{s['worked_seconds']:,.1f}",
                share(s["worked_seconds"], s["capacity"] * wall),
                share(s["busy_seconds"], wall),
            )
            for name, s in found.items()
        ]
        head = (
            "stage",
            "places",
            "pieces done",
            "seconds of work",
            "share of capacity",
            "time with any work",
        )
        bound = bounds[busiest]
        above = f"{wall / bound:.2f} times that" if bound else "and no work was done"
        parts += [
            heading(f"Start {count} of {len(starts)}"),
            table(head, rows),
            Html(
                f"<p>The busiest stage, {text(busiest)}, needs {bound:,.1f} s with all places "
                f"full; the run took {wall:,.1f} s, {above}.</p>\n"
            ),
        ]
    return joined(parts)


def effects(counts: Mapping[str, int]) -> Html:
    """helped / harmed / neutral, with a bar."""
    helped, harmed, neutral = (counts[k] for k in ("helped", "harmed", "neutral"))
    if not helped + harmed + neutral:
        return text("–")
    drawn = counts_bar({"good": helped, "neutral": neutral, "bad": harmed})
    return Html(f"{helped} / {harmed} / {neutral}{drawn}")
