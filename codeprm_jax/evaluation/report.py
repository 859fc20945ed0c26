"""One self-contained HTML page about a run: what was run, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codeprm_jax.evaluation import report_quickstart, report_readings, report_search
from codeprm_jax.evaluation.benchmark import RESULTS, SETTINGS, STAGES, STATEMENTS, SUMMARY
from codeprm_jax.evaluation.page import Html, cards, document, joined, note, number, text
from codeprm_jax.evaluation.report_readings import Readings
from codeprm_jax.evaluation.score_trees import score_trees
from codeprm_jax.files import InputError, iterate_valid_prefix, read_json, read_jsonl, write_whole

PAGE, QUICKSTART = "report.html", "quickstart.json"

_Sections = list[tuple[str, Html]]


def write_report(run: Path) -> Path:
    """Writes `run/report.html` from the files of a run and returns its path.

    Args:
      run: folder of `codeprm quickstart`, or of `codeprm search`.

    Raises InputError naming the first file that is missing.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(
            f"{run} is no folder; name the folder that codeprm quickstart or codeprm search made"
        )
    if (run / QUICKSTART).is_file():
        page = _quickstart_page(run)
    elif (run / SUMMARY).is_file() or (run / RESULTS).is_file():
        page = _search_page(run)
    else:
        raise InputError(
            f"{run} holds neither {QUICKSTART} nor {SUMMARY}; name the folder that codeprm "
            "quickstart or codeprm search made"
        )
    with write_whole(run / PAGE) as file:
        file.write(page)
    return run / PAGE


def _quickstart_page(run: Path) -> Html:
    quickstart = read_json(run / QUICKSTART)
    training = read_json(run / "train" / "run.json")
    statistics = read_json(run / "data" / "statistics.json")
    evaluation = read_json(run / "evaluation.json")
    metrics = list(read_jsonl(run / "train" / "metrics.jsonl"))
    summary, opening, sections = _search(run / "search")
    seconds = sum(s["seconds"] for s in quickstart["stages"].values())
    splits = evaluation["splits"]
    top = joined(
        [
            Html(
                "<h1>Generate–Verify–Refine with a process reward model</h1>\n"
                f"<p class=lead>Problems: <b>{text(quickstart['problems'])}</b>. Pipeline "
                f"time: {seconds:.0f} s. The model was trained in this run on labels of "
                "executions.</p>\n"
            ),
            opening,
            cards(
                [
                    (
                        number(splits["test_seen"]["prm"]["auroc"]),
                        "AUROC, unseen traces of seen problems",
                    ),
                    (number(splits["test"]["prm"]["auroc"]), "AUROC, unseen problems"),
                ]
            ),
        ]
    )
    sections += [
        ("The process reward model on held-out traces", report_quickstart.prm(evaluation)),
        ("Training", report_quickstart.training(training, metrics)),
        ("The data", report_quickstart.data(statistics)),
        ("How it was run", report_quickstart.provenance(quickstart, training, summary)),
    ]
    return document(f"CodePRM-JAX: {quickstart['problems']}", sections, top)


def _search_page(run: Path) -> Html:
    summary, opening, sections = _search(run)
    count = len(summary["arms"])
    title = f"{count} arm{'s' if count > 1 else ''} at one budget"
    top = Html(f"<h1>Generate–Verify–Refine: {title}</h1>\n{opening}")
    return document(f"CodePRM-JAX: {title}", sections, top)


def _search(folder: Path) -> tuple[dict[str, Any], Html, _Sections]:
    """A search folder's summary, the opening of its page and the sections."""
    if not (folder / SUMMARY).is_file():
        raise InputError(
            f"{folder / SUMMARY} does not exist: the search is not complete; run the command that "
            "began it again, with the same settings"
        )
    summary = read_json(folder / SUMMARY)
    settings = read_json(folder / SETTINGS)
    if "arms" not in settings or not (folder / RESULTS).is_file():
        raise InputError(
            f"{folder} is not what codeprm search leaves today ({SETTINGS} with arms, {RESULTS}); "
            "search again, in another folder"
        )
    arms = {name: settings["arms"][name] for name in summary["arms"]}
    readings = Readings(arms)
    for record in iterate_valid_prefix(folder / RESULTS, cut=False):
        readings.add(record)
    starts = read_json(folder / STAGES) if (folder / STAGES).is_file() else []
    opening = joined(
        [
            report_search.simulated(summary),
            report_search.facts(summary, settings),
            _not_reported(readings, summary),
            report_search.headline(summary),
        ]
    )
    trees = score_trees(readings.choice, arms, _statements(folder), summary["budget"])
    sections = [
        ("The arms at one budget", report_search.arms(summary)),
        ("Differences between arms", report_search.differences(summary)),
        ("Smaller budgets", report_search.curves(summary, settings)),
        (
            "Calibration in the search",
            report_readings.calibration(readings, list(summary["groups"])),
        ),
        ("Rewrites", report_readings.refinements(readings, summary)),
        ("Searches, step by step", trees),
        ("How busy the stages were", report_readings.stages(starts)),
    ]
    return summary, opening, sections


def _statements(folder: Path) -> Mapping[str, str]:
    """Public statements by problem id; none in a folder that an earlier version made."""
    path = folder / STATEMENTS
    return read_json(path) if path.is_file() else {}


def _not_reported(readings: Readings, summary: Mapping[str, Any]) -> Html:
    """Says where the searches and the summary are not of the same run."""
    parts = []
    summed = sum(v["searches"] for g in summary["groups"].values() for v in g["arms"].values())
    if readings.searches != summed:
        parts.append(
            note(
                f"{SUMMARY} is of {summed:,} searches and {RESULTS} holds {readings.searches:,}: a "
                "start of this run has not come to its end, or the last one asked for fewer "
                "repeats. Intervals and curves are of the former."
            )
        )
    if readings.other:
        parts.append(
            note(
                f"Not on this page: {readings.other:,} of the searches in {RESULTS}, whose arms "
                "the last start did not name."
            )
        )
    return joined(parts)
