"""One self-contained HTML page about a run: what was run, and what came of it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codeprm_jax.evaluation.benchmark import RESULTS, SUMMARY
from codeprm_jax.evaluation.charts import arm_chart, training_curves
from codeprm_jax.files import InputError, read_json, read_jsonl, write_whole
from codeprm_jax.search.arms import GVR_PRM, GVR_RANDOM

PAGE = "report.html"

_STYLE = """
:root { --ink: #1f2937; --soft: #64748b; --line: #e2e8f0; --accent: #2563eb; --bad: #dc2626;
        --good: #059669; --paper: #f8fafc; }
* { box-sizing: border-box; }
body { font: 15px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
       max-width: 1000px; margin: 0 auto; padding: 32px 20px 80px; }
h1 { font-size: 27px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 8px; }
h3 { font-size: 15px; margin: 24px 0 6px; }
p.lead, .note { color: var(--soft); } .note { font-size: 13.5px; }
.simulated { border-left: 4px solid #d97706; background: #fffbeb; padding: 10px 14px; }
table { border-collapse: collapse; width: 100%; margin: 10px 0; font-size: 13.5px; }
th, td { text-align: right; padding: 5px 9px; border-bottom: 1px solid var(--line);
         font-variant-numeric: tabular-nums; }
td { white-space: nowrap; } td:first-child { white-space: normal; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tr.prm td { background: #ecfdf5; font-weight: 600; }
svg { max-width: 100%; height: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.card b { display: block; font-size: 22px; } .card span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
.attempt { border: 1px solid var(--line); border-radius: 8px; margin: 12px 0; padding: 10px 16px; }
.attempt h4 { margin: 4px 0 8px; font-size: 14px; }
.step { display: grid; grid-template-columns: 22px 1fr 150px; gap: 10px; padding: 5px 0; }
.bar { background: var(--line); border-radius: 4px; height: 18px; position: relative; }
.bar i { display: block; height: 100%; border-radius: 4px; background: var(--accent); }
.bar em { position: absolute; right: 6px; top: -1px; font-size: 12px; font-style: normal; }
.step.chosen { background: #fef2f2; } .step.chosen i { background: var(--bad); }
.step.rewritten { background: #ecfdf5; }
.tag { white-space: nowrap; font-size: 11px; border-radius: 4px; padding: 1px 6px;
       color: white; margin-left: 6px; }
.tag.red { background: var(--bad); } .tag.green { background: var(--good); }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 10px;
      overflow-x: auto; font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
details summary { cursor: pointer; color: var(--soft); }
"""


def write_report(run: Path) -> Path:
    """Writes `run/report.html` from the files of a run and returns its path.

    Raises InputError naming the first file that is missing.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(f"{run} is no folder; name the folder that codeprm quickstart made")
    quickstart = read_json(run / "quickstart.json")
    training = read_json(run / "train" / "run.json")
    statistics = read_json(run / "data" / "statistics.json")
    evaluation = read_json(run / "evaluation.json")
    summary = read_json(run / "search" / SUMMARY)
    metrics = list(read_jsonl(run / "train" / "metrics.jsonl"))
    results = list(read_jsonl(run / "search" / RESULTS))
    statements = {p["id"]: p["statement"] for p in read_jsonl(run / "problems.jsonl")}

    sections = [
        _opening(quickstart, summary, evaluation),
        _section("The arms at one budget", *_arms(summary)),
        _section("The process reward model", *_prm(evaluation)),
        _section("Training", training_curves(metrics), _training(training, metrics)),
        _section("The data", _data(statistics)),
        _section("Three searches, step by step", *_examples(results, statements)),
        _section("How it was run", *_provenance(quickstart, training, summary)),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>CodePRM-JAX: {html.escape(quickstart['problems'])}</title>"
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )
    with write_whole(run / PAGE) as file:
        file.write(page)
    return run / PAGE


def _opening(
    quickstart: Mapping[str, Any], summary: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> str:
    seconds = sum(s["seconds"] for s in quickstart["stages"].values())
    seen = evaluation["splits"]["test_seen"]
    cards = [
        (_number(seen["prm"]["auroc"]), "AUROC, unseen traces of seen problems"),
        (_number(evaluation["splits"]["test"]["prm"]["auroc"]), "AUROC, unseen problems"),
    ]
    for name, group in summary["groups"].items():
        arms = group["arms"]
        prm, random = (arms[a]["pass_at_1"][0] for a in (GVR_PRM.name, GVR_RANDOM.name))
        cards.append((f"{prm:.2f} / {random:.2f}", f"pass@1 GVR PRM / GVR random, {name}"))
    shown = "".join(f"<div class=card><b>{v}</b><span>{_text(t)}</span></div>" for v, t in cards)
    return (
        "<h1>Generate–Verify–Refine with a process reward model</h1>"
        f"<p class=lead>Problems: <b>{_text(quickstart['problems'])}</b>. "
        f"Pipeline time: {seconds:.0f} s.</p>"
        "<p class=simulated>The generator of this run is <b>simulated</b>: "
        f"<code>{_text(summary['policy'])}</code> draws steps from hand-written or mutated "
        "variants of a known solution, right ones with the probability given. Programs, "
        "executions, labels, the trained model and the search are real. The figures compare ways "
        "to spend a budget under this generator; they say nothing about any language model.</p>"
        f"<div class=cards>{shown}</div>"
    )


def _arms(summary: Mapping[str, Any]) -> Iterable[str]:
    config = summary["config"]
    yield (
        f"<p>Every arm may run {config['max_executions']} programs on the public tests of a "
        f"problem; {config['repeats']} independent searches a problem. Equal seeds draw equal "
        "fresh samples in every arm. The private tests judge only the final answer. Intervals: "
        "95 %, paired bootstrap over problems.</p>"
    )
    yield arm_chart(summary["groups"])
    for name, group in summary["groups"].items():
        rows = [
            (
                arm,
                _interval(v["pass_at_1"]),
                _interval(v["pass_rate"]),
                f"{v['spent']['executions']:.2f}",
                f"{v['spent']['generated_tokens']:,.0f}",
                f"{v['spent']['scored_tokens']:,.0f}",
                f"{v['refinements']['helped']} / {v['refinements']['harmed']} / "
                f"{v['refinements']['neutral']}",
            )
            for arm, v in group["arms"].items()
        ]
        yield f"<h3>{_text(name)} ({group['problems']} problems)</h3>"
        yield _table(
            (
                "arm",
                "pass@1",
                "mean private pass rate",
                "executions",
                "generated tokens",
                "scored tokens",
                "rewrites: helped / harmed / neutral",
            ),
            rows,
            marked=GVR_PRM.name,
        )
        yield _table(
            ("difference in pass@1", "mean and 95 % interval"),
            [
                (pair.replace(" - ", " − "), _interval(v, "+"))
                for pair, v in group["versus"].items()
            ],
        )
    yield (
        "<p class=note>Spending is the mean of one search. Executions: programs run on the public "
        "tests. Generated tokens are counted in words and symbols. Scored tokens: tokens read by "
        "the PRM.</p>"
    )


def _prm(evaluation: Mapping[str, Any]) -> Iterable[str]:
    titles = {
        "test_seen": "Unseen traces of seen problems",
        "test": "Unseen problems",
    }
    for split, title in titles.items():
        result = evaluation["splits"][split]
        rows = [("PRM", *_metrics(result["prm"]))]
        rows += [(name, *_metrics(m)) for name, m in result["baselines"].items()]
        yield (
            f"<h3>{title}: {result['traces']} traces of {result['problems']} problems, "
            f"{result['steps']} steps</h3>"
        )
        yield _table(("", "AUROC", "MSE", "MAE", "R²", "ECE"), rows, marked="PRM")
        new = result["new_prefixes"]
        yield (
            f"<p class=note>{100 * new['share']:.0f} % of these steps have a prefix that is in no "
            f"training trace, and {new['reachable']} of those can still succeed: MAE on them "
            f"{_number(new['mae'])}, AUROC {_number(new['auroc'])}. The label of a step depends on "
            "its prefix only, so the others can be remembered.</p>"
        )
    rows = []
    for split, title in titles.items():
        found = evaluation["splits"][split]["first_wrong_step"]
        names = ("lowest", "lowest_tied", "chance", "first", "last")
        rows.append((title, found["traces"], *(_number(found.get(n)) for n in names)))
    yield "<h3>Inside failing traces: which rule names the first wrong step?</h3>"
    yield _table(
        (
            "",
            "traces",
            "lowest score",
            "lowest, ties to the first",
            "chance",
            "always first",
            "always last",
        ),
        rows,
    )
    yield (
        "<p class=note>AUROC: do scores separate steps through which some rollout passed every "
        "test from the others? “Copy public outcome” gives every step the outcome of the trace "
        "on the public tests, “copy full outcome” that on all tests, private ones included, which "
        "no search can know: whether all passed if scores are success rates, else the share that "
        "passed. The first wrong step is the first through which no rollout passed; "
        "failing traces in which every step can still succeed are left out. Equal traces count "
        "once, so passing ones are rare here, which is hard on the two copied outcomes.</p>"
    )


def _training(training: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    train = [r for r in metrics if r["split"] == "train"]
    seconds = sorted(r["seconds"] for r in train)
    rates = sorted(r["tokens"] / r["seconds"] for r in train)
    facts = [
        ("parameters", f"{training['num_params']:,}"),
        ("steps", f"{training['total_steps']:,}"),
        ("training traces", f"{training['train']['traces']:,}"),
        ("tokens an epoch", f"{training['train']['tokens']:,}"),
        ("packing utilisation", f"{100 * training['train']['utilisation']:.1f} %"),
        ("median step", f"{seconds[len(seconds) // 2]:.2f} s"),
        ("useful tokens per second (median)", f"{rates[len(rates) // 2]:,.0f}"),
    ]
    return _table(("", ""), facts)


def _data(statistics: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            s["problems"],
            s["traces"],
            s["steps"],
            f"{s['mean_label']['pass_rate']:.3f}",
            f"{s['mean_label']['success_rate']:.3f}",
            f"{s['mean_trials']:.1f}",
            f"{s['reachable_share']:.3f}",
            f"{s['solved_share']:.3f}",
        )
        for name, s in statistics["splits"].items()
    ]
    left_out = ", ".join(f"{n} × {reason}" for reason, n in statistics["left_out"].items())
    return (
        _table(
            (
                "split",
                "problems",
                "traces",
                "steps",
                "mean pass rate",
                "mean success rate",
                "rollouts a step",
                "steps that can succeed",
                "traces that pass",
            ),
            rows,
        )
        + "<p class=note>train, validation and test share no problem; test_seen holds other traces "
        f"of training problems. Left out: {_text(left_out) or 'nothing'}.</p>"
    )


def _examples(results: Sequence[Mapping[str, Any]], statements: Mapping[str, str]) -> Iterable[str]:
    for title, record in _choose_examples(results):
        yield f"<h3>{title}: {_text(record['problem_id'])}</h3>"
        yield f"<pre>{_text(statements.get(record['problem_id'], ''))}</pre>"
        for number, attempt in enumerate(record["attempts"]):
            after = record["attempts"][number + 1 :][:1]
            chosen = after[0]["rewritten"] if after else None
            yield _attempt(number, attempt, chosen, number == record["answer"])
        private = record["private"]
        verdict = "passes" if private["passed"] == private["total"] else "fails"
        yield (
            f"<p>The answer is attempt {record['answer'] + 1}; it {verdict} the private tests "
            f"({private['passed']} of {private['total']}).</p>"
        )


def _choose_examples(
    results: Sequence[Mapping[str, Any]],
) -> list[tuple[str, Mapping[str, Any]]]:
    """A rescued search, one that needed two rewrites or more, and one that failed; all by PRM."""
    searches = [r for r in results if r["arm"] == GVR_PRM.name]

    def rewrites(record: Mapping[str, Any]) -> int:
        return sum(a["rewritten"] is not None for a in record["attempts"])

    def solved(record: Mapping[str, Any]) -> bool:
        return record["private"]["passed"] == record["private"]["total"]

    def rescued(record: Mapping[str, Any]) -> bool:
        return solved(record) and record["attempts"][record["answer"]]["rewritten"] is not None

    kinds = (
        ("Rescued by one rewrite", lambda r: rescued(r) and rewrites(r) == 1),
        ("Rescued by several rewrites", lambda r: rescued(r) and rewrites(r) > 1),
        ("Not rescued", lambda r: not solved(r) and rewrites(r) > 0),
        ("Another search", lambda r: True),
    )
    chosen: list[tuple[str, Mapping[str, Any]]] = []
    for title, wanted in kinds:
        for record in searches:
            used = {c["problem_id"] for _, c in chosen}
            if len(chosen) < 3 and wanted(record) and record["problem_id"] not in used:
                chosen.append((title, record))
                if title != "Another search":
                    break
    return chosen


def _attempt(number: int, attempt: Mapping[str, Any], chosen: int | None, is_answer: bool) -> str:
    feedback = attempt["feedback"]
    origin = (
        f"sample {attempt['sample'] + 1}"
        if attempt["rewritten"] is None
        else f"step {attempt['rewritten'] + 1} rewritten"
    )
    steps = []
    for index, thought in enumerate(attempt["thoughts"]):
        classes, tags = "step", ""
        if index == attempt["rewritten"]:
            classes += " rewritten"
            tags += "<span class='tag green'>new</span>"
        if index == chosen and attempt["scores"] is not None:
            classes += " chosen"
            tags += "<span class='tag red'>chosen, rewritten next</span>"
        bar = ""
        if attempt["scores"] is not None:
            score = attempt["scores"][index]
            bar = (
                f"<div class=bar><i style='width:{100 * score:.0f}%'></i><em>{score:.2f}</em></div>"
            )
        steps.append(
            f"<div class='{classes}'><span>{index + 1}</span>"
            f"<span>{_text(thought)}{tags}</span>{bar}</div>"
        )
    failures = "".join(
        f"<pre>{f['verdict']}  {_text(f['input'].strip())}\nexpected {_text(f['expected'].strip())}"
        f"\ngot      {_text(f['actual'].strip() or f['stderr'].strip()[-300:])}</pre>"
        for f in feedback["failures"][:2]
    )
    answer = " · the answer" if is_answer else ""
    return (
        f"<div class=attempt><h4>Attempt {number + 1} ({origin}){answer}: "
        f"{feedback['passed']} of {feedback['total']} public tests passed</h4>{''.join(steps)}"
        f"{failures}<details><summary>program</summary><pre>{_text(attempt['program'])}</pre>"
        "</details></div>"
    )


def _provenance(
    quickstart: Mapping[str, Any], training: Mapping[str, Any], summary: Mapping[str, Any]
) -> Iterable[str]:
    yield _table(
        ("stage", "seconds", "what"),
        [(n, f"{s['seconds']:.1f}", s["note"]) for n, s in quickstart["stages"].items()],
    )
    facts = [("policy", summary["policy"])]
    facts += [(k, v) for k, v in quickstart["settings"].items()]
    facts += [("hardware", ", ".join(f"{k} {v}" for k, v in training["hardware"].items()))]
    facts += [("isolation tier of executions", quickstart["tier"])]
    facts += [(name, version) for name, version in training["versions"].items()]
    yield _table(("", ""), facts)


def _section(title: str, *parts: str) -> str:
    return f"<h2>{title}</h2>{''.join(parts)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], marked: str | None = None) -> str:
    top = "".join(f"<th>{_text(h)}</th>" for h in head) if any(head) else ""
    body = "".join(
        f"<tr{' class=prm' if row[0] == marked else ''}>"
        + "".join(f"<td>{_text(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><tr>{top}</tr>{body}</table></div>"


def _metrics(values: Mapping[str, float]) -> list[str]:
    return [_number(values[k]) for k in ("auroc", "mse", "mae", "r2", "ece")]


def _interval(values: Sequence[float], sign: str = "") -> str:
    mean, low, high = values
    return f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.3f}"


def _text(value: Any) -> str:
    return html.escape(str(value))
