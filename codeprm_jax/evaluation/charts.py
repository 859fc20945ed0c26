"""The report's pictures, as SVG text that stands in the page itself and takes on its colours."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from codeprm_jax.evaluation.page import Html, joined, text

os.environ.setdefault("MPLBACKEND", "Agg")

# Colours as matplotlib writes them, and the page's names for them: a dark page has others.
INK, SOFT, LINE, OTHER = "#1f2937", "#5b6676", "#dbe1e8", "#b9c1cb"
LINES = ("#0072b2", "#d55e00", "#008a64", "#b8568f", "#a87400", "#2f8fc4", "#7c3aed")
_NAMES = {INK: "--ink", SOFT: "--soft", LINE: "--line", OTHER: "--other"} | {
    colour: f"--c{i}" for i, colour in enumerate(LINES, 1)
}
# Lines differ in their dashes too, for who cannot tell the colours apart.
_DASHES = ("", "6 2", "6 2 1.5 2", "1.5 1.5", "10 2", "3 2", "8 2 2 2 2 2")


def training_curves(records: Sequence[Mapping[str, Any]]) -> Html:
    """Loss a step with a running median, and validation MSE and MAE, over steps."""
    train = [r for r in records if r["split"] == "train"]
    validation = [r for r in records if r["split"] == "validation"]
    steps = np.array([r["step"] for r in train])
    loss = np.array([r["loss"] for r in train])
    window = max(1, len(loss) // 20)
    smooth = [np.median(loss[max(0, i - window) : i + 1]) for i in range(len(loss))]
    figure, axis = _figure(xlabel="step")
    axis.plot(steps, loss, color=OTHER, linewidth=0.8)
    _plot(axis, 0, steps, smooth)
    left = _chart(
        figure,
        "training",
        "Training loss",
        f"Training loss over {len(train)} steps, with a running median.",
        [(f"median of {window} steps", 0), ("each step", None)],
    )
    figure, axis = _figure(xlabel="step")
    at = [r["step"] for r in validation]
    for place, metric in enumerate(("mse", "mae")):
        _plot(axis, place, at, [r[metric] for r in validation], marker="o")
    right = _chart(
        figure,
        "validation",
        "Validation, on problems not trained on",
        "Mean squared and mean absolute error on the validation split over training steps.",
        [("MSE", 0), ("MAE", 1)],
    )
    return charts([left, right])


def budget_curve(
    name: str,
    title: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    highlighted: Sequence[str],
    xlabel: str,
) -> Html:
    """pass@1 over the budget, at most seven arms in colour and the rest in grey behind them.

    Args:
      name: distinguishes this picture from others of the page.
      curves: arm -> (spent, pass@1) points.
    """
    figure, axis = _figure(xlabel=xlabel)
    for arm, points in curves.items():
        if arm not in highlighted:
            axis.plot(*_columns(points), color=OTHER, linewidth=0.7)
    for place, arm in enumerate(highlighted):
        _plot(axis, place, *_columns(curves[arm]))
    axis.set(ylim=(0, 1.02))
    ends = ", ".join(f"{arm} {curves[arm][-1][1]:.2f}" for arm in highlighted)
    legend: list[tuple[str, int | None]] = [(arm, i) for i, arm in enumerate(highlighted)]
    if len(curves) > len(highlighted):
        legend.append(("other arms", None))
    what = f"pass@1 over the budget. With all of it: {ends}."
    return _chart(figure, name, title, what, legend)


def pass_at_k_curve(
    name: str, title: str, arms: Mapping[str, Mapping[str, Sequence[float]]]
) -> Html:
    """pass@k over k with 95 % intervals, for at most seven arms.

    Args:
      arms: arm -> k -> (mean, low, high).
    """
    figure, axis = _figure(xlabel="k, fresh samples")
    for place, values in enumerate(arms.values()):
        k = [int(i) for i in values]
        mean, low, high = (list(column) for column in zip(*values.values(), strict=True))
        axis.fill_between(k, low, high, color=LINES[place], alpha=0.15, linewidth=0)
        _plot(axis, place, k, mean, marker="o")
    axis.set(ylim=(0, 1.02))
    said = "; ".join(
        f"{arm}: " + ", ".join(f"pass@{k} {v[0]:.2f}" for k, v in values.items())
        for arm, values in arms.items()
    )
    return _chart(figure, name, title, said, [(arm, i) for i, arm in enumerate(arms)])


def reliability(name: str, title: str, bins: Sequence[Mapping[str, Any]]) -> Html:
    """Mean score of each bin against the share that passes, with intervals, and the bins' sizes.

    Args:
      bins: those that hold anything; see `calibration.reliability`.
    """
    figure, axis = _figure(xlabel="aggregated PRM score", ratio=0.85)
    axis.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    scores = [b["score"] for b in bins]
    solved = [b["solved"] for b in bins]
    for b in bins:
        _, low, high = b["solved_interval"]
        axis.plot([b["score"]] * 2, [low, high], color=LINES[0], linewidth=2, alpha=0.4)
    _plot(axis, 0, scores, solved, marker="o")
    _plot(axis, 1, scores, [b["pass_rate"] for b in bins], marker="o")
    most = max(b["attempts"] for b in bins)
    for b in bins:  # a rug of bars along the bottom, as high as the bin is full
        axis.bar(
            (b["low"] + b["high"]) / 2, 0.12 * b["attempts"] / most, 0.09, color=LINE, zorder=0
        )
    axis.set(xlim=(0, 1), ylim=(0, 1.02))
    said = "; ".join(f"score {b['score']:.2f}: {b['solved']:.2f} of {b['attempts']}" for b in bins)
    return _chart(
        figure,
        name,
        title,
        f"Share of attempts that pass all private tests, by score. {said}.",
        [
            ("share that passes all private tests, 95 %", 0),
            ("mean private pass rate", 1),
            ("perfect calibration; bars at the bottom: attempts in a bin", None),
        ],
    )


def charts(figures: Sequence[Html]) -> Html:
    """Pictures side by side, as many as there is room for."""
    return Html(f"<div class=charts>\n{joined(figures)}</div>\n")


def _plot(axis: Any, place: int, x: Any, y: Any, marker: str | None = None) -> None:
    dashes = [float(d) for d in _DASHES[place].split()]
    style = {"dashes": dashes} if dashes else {}
    axis.plot(x, y, color=LINES[place], linewidth=1.6, marker=marker, markersize=4, **style)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [p[0] for p in points], [p[1] for p in points]


def _figure(xlabel: str, ratio: float = 0.6) -> tuple[Any, Any]:
    """A figure of one panel, small enough to be read on a narrow screen."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {
        "font.family": "sans-serif",
        "font.size": 9,
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": SOFT,
        "axes.edgecolor": LINE,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "axes.grid": True,
        "grid.color": LINE,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(4.6, 4.6 * ratio), layout="constrained")
        axis = figure.subplots()
        axis.set(xlabel=xlabel)
    return figure, axis


def _chart(
    figure: Any, name: str, title: str, what: str, legend: Sequence[tuple[str, int | None]]
) -> Html:
    """The figure as HTML, with a text for who does not see it, and a legend that can wrap."""
    entries = joined(
        Html(
            '<li><svg viewBox="0 0 30 8" aria-hidden="true"><line x1="0" y1="4" x2="30" y2="4" '
            f'stroke="var({"--other" if place is None else f"--c{place + 1}"})" stroke-width="2" '
            f'stroke-dasharray="{"" if place is None else _DASHES[place]}"/></svg>'
            f"{text(label)}</li>\n"
        )
        for label, place in legend
    )
    return Html(
        f"<figure><figcaption><b>{text(title)}</b></figcaption>\n{_svg(figure, name, what)}"
        f"<ul class=legend>\n{entries}</ul></figure>\n"
    )


def _svg(figure: Any, name: str, what: str) -> str:
    """The figure's <svg> element, its ids its own, and nothing in it that points elsewhere."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawn).replace("xlink:href", "href")
    drawn = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawn)
    drawn = re.sub(r' (width|height)="[\d.]+pt"', "", drawn, count=2)
    drawn = re.sub(r"<style type=\"text/css\">.*?</style>", "", drawn, flags=re.DOTALL)
    for colour, variable in _NAMES.items():
        drawn = drawn.replace(colour, f"var({variable})")
    return drawn.replace("<svg", f'<svg role="img" aria-label="{text(what)}"', 1)
