"""The report's pictures, as SVG text that stands in the page itself."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

os.environ.setdefault("MPLBACKEND", "Agg")

INK, ACCENT, MUTED, GOOD = "#1f2937", "#2563eb", "#94a3b8", "#059669"


def training_curves(records: Sequence[Mapping[str, Any]]) -> str:
    """Loss a step with a running median, and validation MSE, over steps."""
    train = [r for r in records if r["split"] == "train"]
    validation = [r for r in records if r["split"] == "validation"]
    figure, (left, right) = _figure(2)
    steps = np.array([r["step"] for r in train])
    loss = np.array([r["loss"] for r in train])
    left.plot(steps, loss, color=MUTED, linewidth=0.8, label="each step")
    window = max(1, len(loss) // 20)
    smooth = [np.median(loss[max(0, i - window) : i + 1]) for i in range(len(loss))]
    left.plot(steps, smooth, color=ACCENT, label=f"median of {window}")
    left.set(title="Training loss", xlabel="step")
    left.legend(frameon=False)
    at = [r["step"] for r in validation]
    right.plot(at, [r["mse"] for r in validation], "o-", color=ACCENT, label="MSE")
    right.plot(at, [r["mae"] for r in validation], "o-", color=MUTED, label="MAE")
    right.set(title="Validation (unseen problems)", xlabel="step")
    right.legend(frameon=False)
    return _svg(figure)


def arm_chart(groups: Mapping[str, Any]) -> str:
    """pass@1 of every arm with its 95 % interval, one panel a group."""
    figure, axes = _figure(len(groups))
    for axis, (name, group) in zip(np.atleast_1d(axes), groups.items(), strict=True):
        arms = list(group["arms"])[::-1]
        for row, arm in enumerate(arms):
            mean, low, high = group["arms"][arm]["pass_at_1"]
            colour = GOOD if arm.endswith("PRM") else ACCENT
            axis.plot([low, high], [row, row], color=colour, linewidth=3, alpha=0.35)
            axis.plot([mean], [row], "o", color=colour)
            axis.annotate(f"{mean:.2f}", (mean, row), (0, 7), textcoords="offset points", size=8)
        axis.set(yticks=range(len(arms)), yticklabels=arms, xlim=(0, 1.02), ylim=(-0.6, len(arms)))
        axis.set(title=f"{name} ({group['problems']} problems)", xlabel="pass@1 on private tests")
    return _svg(figure)


def _figure(panels: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "codeprm",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 10,
        }
    )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 3.0), layout="constrained")
    return figure, figure.subplots(1, panels)


def _svg(figure: Any) -> str:
    """The figure's <svg> element, without XML head and metadata."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
