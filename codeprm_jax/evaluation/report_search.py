"""The report's sections about searches: what the arms came to, and what can be read from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codeprm_jax.evaluation import charts
from codeprm_jax.evaluation.page import (
    Html,
    cards,
    cell,
    heading,
    interval,
    interval_bar,
    joined,
    note,
    share,
    signed,
    table,
    text,
)
from codeprm_jax.evaluation.report_readings import effects
from codeprm_jax.search.arms import (
    BEAM_PRM,
    GVR_PRM,
    GVR_RANDOM,
    MCTS_PRM_REFINE,
    PRM_RANKED,
    TESTS_ONLY,
)

# The differences the page opens with: named here, before any run, and not by their size.
HEADLINES = (
    (GVR_PRM.name, TESTS_ONLY.name),
    (GVR_PRM.name, GVR_RANDOM.name),
    (PRM_RANKED.name, TESTS_ONLY.name),
    (BEAM_PRM.name, TESTS_ONLY.name),
    (MCTS_PRM_REFINE.name, TESTS_ONLY.name),
)
FEW_PROBLEMS = 20  # below: percentile intervals are too narrow
LINES = len(charts.LINES)  # arms in colour in one chart


def simulated(summary: Mapping[str, Any]) -> Html:
    """The loud notice where no language model wrote anything; else nothing."""
    if not summary["simulated"]:
        return Html("")
    return Html(
        "<p class=simulated>The generator of this run is <b>simulated</b>: "
        f"<code>{text(summary['policy'])}</code> draws steps from hand-written or mutated "
        "variants of a known solution, right ones with the probability given. Programs, "
        "executions and the search are real. The figures compare ways to spend a budget under "
        "this generator; they say nothing about any language model.</p>\n"
    )


def facts(summary: Mapping[str, Any], settings: Mapping[str, Any]) -> Html:
    """What was compared, on what, with which budget."""
    sources = sorted({problem.split("/")[0] for problem in settings["problems"]})
    groups = ", ".join(f"{name} ({g['problems']})" for name, g in summary["groups"].items())
    rows = [
        ("problems", f"{len(settings['problems'])} of {', '.join(sources[:5])}: {groups}"),
        ("policy", summary["policy"] + (" (simulated)" if summary["simulated"] else "")),
        ("PRM", settings["model"] or "none"),
        ("budget", _budget(summary["budget"])),
        ("searches", f"{summary['repeats']} a problem and arm, seed {summary['seed']}"),
        ("arms", " · ".join(summary["arms"])),
    ]
    return table((), rows, words=(1,))


def headline(summary: Mapping[str, Any]) -> Html:
    """The differences that were to be looked at first, in every group."""
    parts = []
    for name, group in summary["groups"].items():
        pairs = [(a, b) for a, b in HEADLINES if f"{a} - {b}" in group["versus"]][:3]
        shown: list[tuple[Any, Any]] = []
        for first, second in pairs:
            mean, low, high = group["versus"][f"{first} - {second}"]
            one, other = (group["arms"][a]["pass_at_1"][0] for a in (first, second))
            shown.append(
                (
                    signed(mean),
                    f"pass@1, {first} − {second} ({one:.3f} − {other:.3f}); "
                    f"95 %: {signed(low)} to {signed(high)}",
                )
            )
        if not pairs:
            for arm, values in list(group["arms"].items())[:3]:
                shown.append((f"{values['pass_at_1'][0]:.3f}", f"pass@1, {arm}"))
        parts += [heading(f"{name} ({group['problems']})"), cards(shown)]
    parts.append(
        note(
            "These comparisons are fixed in the report's code, whatever a run came to. All arms "
            "and all pairs stand below."
        )
    )
    return joined(parts)


def arms(summary: Mapping[str, Any]) -> Html:
    """Three tables a group: results, spending, and how searches went."""
    budget = summary["budget"]
    unit = _unit(budget)
    parts = [
        note(
            "Equal seeds draw equal fresh samples in every arm. The private tests judge after a "
            "search has ended, and nothing of them flows back. Intervals: 95 %, bootstrap over "
            "problems. Pass rate: share of private tests passed. pass@k: the chance that one of k "
            "fresh samples passes, where every search of an arm drew equally many."
        )
    ]
    for name, group in summary["groups"].items():
        members = group["arms"]
        title = f"{name} ({group['problems']})"
        parts.append(heading(title))
        if group["problems"] < FEW_PROBLEMS:
            parts.append(
                note(
                    "Bootstrap intervals over so few problems are too narrow: read them as a lower "
                    "bound of the uncertainty."
                )
            )
        results, spending, course = [], [], []
        for arm, v in members.items():
            highest = list(v["pass_at_k"])[-1:]
            k = f"@{highest[0]}: {v['pass_at_k'][highest[0]][0]:.3f}" if highest else "–"
            results.append(
                (
                    arm,
                    interval_bar(v["pass_at_1"]),
                    interval(v["pass_at_1"]),
                    interval(v["pass_rate"]),
                    k,
                )
            )
            spent = v["spent"]
            spending.append(
                (
                    arm,
                    f"{spent['spent']:,.2f}",
                    _most(v["most_spent"], budget["amount"]),
                    *(f"{spent[k]:,.1f}" for k in ("executions",)),
                    *(
                        f"{spent[k]:,.0f}"
                        for k in ("generated_tokens", "prompt_tokens", "scored_tokens")
                    ),
                )
            )
            rewrites = v["refinements"]
            course.append(
                (
                    arm,
                    v["searches"],
                    effects(rewrites) if sum(rewrites.values()) else "–",
                    _counts(v["ended"]),
                    _counts(v["failures"]),
                )
            )
        parts += [
            table(("arm", "0 to 1", "pass@1", "mean pass rate", "pass@k"), results, "Results"),
            table(
                (
                    "arm",
                    f"spent, mean ({unit})",
                    f"most, of {budget['amount']:,g}",
                    "executions",
                    "generated tokens",
                    "prompt tokens",
                    "scored tokens",
                ),
                spending,
                "Spending: means of one search; the most is that of any one search",
            ),
            table(
                (
                    "arm",
                    "searches",
                    "rewrites: helped / harmed / neutral",
                    "ended",
                    "policy failures",
                ),
                course,
                "How searches went",
                words=(3, 4),
            ),
        ]
    return joined(parts)


def differences(summary: Mapping[str, Any]) -> Html:
    """Every pair of arms, with a word about how many there are."""
    parts = []
    for name, group in summary["groups"].items():
        names = list(group["arms"])
        versus = group["versus"]
        pairs = len(names) * (len(names) - 1) // 2
        if not pairs:
            parts.append(note(f"{name}: one arm alone has none."))
            continue
        sure = sum(
            _excludes_zero(versus[f"{a} - {b}"]) for i, a in enumerate(names) for b in names[:i]
        )
        parts += [
            heading(f"{name} ({group['problems']})"),
            note(
                f"{len(names)} arms make {pairs} pair{'s' if pairs > 1 else ''}. "
                f"If no two arms differed, about {0.05 * pairs:.2g} of {pairs} intervals of 95 % "
                "would exclude 0 by chance alone; "
                f"here {sure} do. The pairs are not independent: they share problems, samples and "
                "arms. No interval is corrected for their number."
            ),
            _matrix(names, versus),
        ]
        if TESTS_ONLY.name in names:
            others = [a for a in names if a != TESTS_ONLY.name]
            rows = []
            for arm in others:
                values = versus[f"{arm} - {TESTS_ONLY.name}"]
                mark = " *" if _excludes_zero(values) else ""
                rows.append((arm, interval(values, "+") + mark))
            parts.append(
                table(
                    (f"arm, against {TESTS_ONLY.name}", "difference in pass@1"), rows, kind="narrow"
                )
            )
    return joined(parts)


def curves(summary: Mapping[str, Any], settings: Mapping[str, Any]) -> Html:
    """pass@1 over the budget, and pass@k."""
    parts = [
        note(
            "What the answer would have been with a smaller budget: the best of the attempts run "
            "by then. No search was told of the smaller budget, so an algorithm that spreads its "
            "budget over a tree could do better with it. Below are the same numbers for all arms "
            "in each chart; the arms named under it are in colour."
        )
    ]
    unit = _unit(summary["budget"])
    for number_, (name, group) in enumerate(summary["groups"].items()):
        points = {arm: v["curve"] for arm, v in group["arms"].items()}
        parts.append(heading(f"{name} ({group['problems']})"))
        drawn = [
            charts.budget_curve(f"budget-{number_}-{i}", title, points, members, unit)
            for i, (title, members) in enumerate(_families(points, settings["arms"]))
        ]
        several = {a: v["pass_at_k"] for a, v in group["arms"].items() if len(v["pass_at_k"]) > 1}
        if several:
            shown = dict(list(several.items())[:LINES])
            drawn.append(charts.pass_at_k_curve(f"k-{number_}", "pass@k on fresh samples", shown))
        parts.append(charts.charts(drawn))
        if several:
            parts.append(
                note(
                    "pass@k is estimated from all samples of a search (Chen et al. 2021), one that "
                    "gave no program among them: without bias where their number is fixed, as it "
                    "is by a budget in executions while none fails. The band is the 95 % interval."
                )
            )
        else:
            parts.append(
                note(
                    "There is no pass@k here: in no arm did every search go on to an equal number "
                    "of fresh samples, more than one."
                )
            )
    return joined(parts)


def _matrix(names: Sequence[str], versus: Mapping[str, Sequence[float]]) -> Html:
    rows = []
    for i, first in enumerate(names, 1):
        cells: list[Any] = []
        for second in names:
            if first == second:
                cells.append(cell("·"))
                continue
            values = versus[f"{first} - {second}"]
            sure = _excludes_zero(values)
            kind = ("up" if values[0] > 0 else "down" if values[0] < 0 else "") if sure else ""
            shown = signed(values[0], 2).replace("0.", ".", 1) + ("*" if sure else "")
            title = f"{first} − {second}: {interval(values, '+')}"
            cells.append(cell(shown, f"{kind} sure" if sure else "", title))
        rows.append((f"{i} {first}", *cells))
    columns = [
        Html(f'<abbr title="{text(name)}">{i}</abbr><span class=hidden> {text(name)}</span>')
        for i, name in enumerate(names, 1)
    ]
    return table(
        ("row − column", *columns),
        rows,
        "Mean paired difference in pass@1, row minus column; the columns are numbered as the rows. "
        "* and colour: the 95 % interval excludes 0",
        kind="matrix",
    )


def _families(
    names: Sequence[str] | Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, list[str]]]:
    """Arms that are alike, at most as many at once as there are colours."""

    def kind(name: str) -> str:
        arm = arms[name]
        if arm["algorithm"] in ("beam", "dvts", "mcts"):
            return "Tree search"
        return "Samples, with thoughts rewritten" if arm["refine"] else "Whole samples"

    for title in ("Whole samples", "Samples, with thoughts rewritten", "Tree search"):
        members = [name for name in names if kind(name) == title]
        for start in range(0, len(members), LINES):
            yield title, members[start : start + LINES]


def _excludes_zero(values: Sequence[float]) -> bool:
    return values[1] > 0 or values[2] < 0


def _most(spent: float, budget: float) -> Html:
    part = share(spent, budget)
    if spent > budget:
        return Html(f"<b>{spent:,g}: above the budget ({text(part)})</b>")
    return text(f"{spent:,g} ({part})")


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n:,}" for name, n in ordered) or "none"


def _unit(budget: Mapping[str, Any]) -> str:
    return {"generated_tokens": "generated tokens", "seconds": "seconds of the cost model"}.get(
        budget["unit"], budget["unit"]
    )


def _budget(budget: Mapping[str, Any]) -> str:
    said = f"{budget['amount']:,g} {_unit(budget)} for every search"
    if budget["unit"] == "seconds":
        costs = budget["costs"]
        said += (
            f" ({costs['generated_token']:g} s a generated token, {costs['execution']:g} s an "
            f"execution, {costs['scored_token']:g} s a scored token)"
        )
    return said
