"""The picture of a comparison: a panel a metric, a dot a model, a bar for its interval. Needs the extra `plot`."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from tastemaker.errors import MissingExtraError
from tastemaker.evaluate.metrics import lower_is_better
from tastemaker.evaluate.significance import Comparison

_INK, _QUIET, _GRID = "#1b1f24", "#6e7781", "#e4e7eb"
_REFERENCE, _BETTER, _WORSE, _SAME = "#1b1f24", "#0a7d4f", "#b3452c", "#6e7781"
_PANELS_A_ROW = 3


def write_comparison(comparison: Comparison, path: Path | str, *, metrics: list[str] | None = None, title: str = "") -> Path:
    """Draws the comparison into `path` (.png, .svg or .pdf) and returns it.

    Models are sorted by the first metric, best on top. Dots are means with their bootstrap intervals; axes of ranking metrics start at
    0, those of errors say where they start. The line marks the reference; colours tell what the corrected test says against it.

    Args:
        comparison: what `compare` gave.
        path: the file to write; its folder is made if missing.
        metrics: which to draw; by default all.
        title: a line on top, such as the data set.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.lines import Line2D
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing a comparison") from None
    shown = comparison.metrics if metrics is None else metrics
    first = sorted(comparison.of(shown[0]), key=lambda row: row.value, reverse=not lower_is_better(shown[0]))
    names = [row.name for row in first]
    columns = min(len(shown), _PANELS_A_ROW)
    lines = -(-len(shown) // columns)
    figure = Figure(
        figsize=(1.6 + 3.0 * columns, 1.5 + lines * (0.75 + 0.34 * len(names))),
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06),
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for panel, metric in zip(panels.flat, shown, strict=False):
        rows = {row.name: row for row in comparison.of(metric)}
        panel.axvline(rows[comparison.reference].value, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        reach = [bound for row in rows.values() for bound in (row.interval or (row.value, row.value))]
        low, high = (min(reach), max(reach)) if lower_is_better(metric) else (0.0, max([*reach, 1e-9]))
        spread = (high - low) or abs(high) or 1.0
        for height, name in enumerate(names):
            row = rows[name]
            colour = (
                _REFERENCE if name == comparison.reference else {"better": _BETTER, "worse": _WORSE, "": _SAME}[row.verdict]
            )
            if row.interval is not None:
                panel.plot(row.interval, [height, height], "|-", color=colour, linewidth=1.8, markersize=9, zorder=2)
            panel.plot([row.value], [height], "o", color=colour, markersize=4.5, zorder=3)
            panel.annotate(
                f"{row.value:.4f}",
                (1, height),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="center",
                fontsize=8,
                color=colour,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        panel.set_xlim(low - 0.1 * spread if lower_is_better(metric) else 0.0, high + 0.4 * spread)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_yticks(np.arange(len(names)), names, fontsize=9, color=_INK)
        panel.tick_params(axis="both", length=0)
        panel.tick_params(axis="x", labelsize=8, labelcolor=_QUIET)
        panel.locator_params(axis="x", nbins=4)
        panel.grid(axis="x", color=_GRID, linewidth=0.8)
        panel.set_axisbelow(True)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
        panel.spines["bottom"].set_color(_GRID)
        note = "lower is better; the axis does not start at 0" if lower_is_better(metric) else ""
        panel.set_title(metric, loc="left", fontsize=10, color=_INK, fontweight="bold")
        panel.set_xlabel(note, loc="left", fontsize=7.5, color=_QUIET)
    for panel in panels.flat[len(shown) :]:
        panel.set_visible(False)
    used = {row.verdict for row in comparison.rows if row.metric in shown and row.name != comparison.reference}
    marks = [(_REFERENCE, f"{comparison.reference} (reference)")] + [
        (colour, text)
        for verdict, colour, text in (
            ("better", _BETTER, "better than it"),
            ("worse", _WORSE, "worse than it"),
            ("", _SAME, "not told apart"),
        )
        if verdict in used
    ]
    figure.legend(
        handles=[Line2D([], [], color=colour, marker="o", markersize=4.5, linewidth=1.8, label=text) for colour, text in marks],
        loc="outside upper left",
        ncols=len(marks) if columns > 1 else 1,
        frameon=False,
        fontsize=8,
        labelcolor=_INK,
        title=title or None,
        title_fontproperties={"size": 12, "weight": "bold"},
        alignment="left",
    )
    pooled = "errors are pooled over the rows of" if all(lower_is_better(metric) for metric in shown) else "mean over"
    interval = "DeLong interval" if comparison.test == "delong" else "bootstrap interval over users"
    words = (
        f"{pooled} {comparison.judged}; bars: {comparison.confidence:.0%} {interval}; "
        "colours: paired test against the reference, Holm-corrected p ≤ .05"
    )
    figure.supxlabel(textwrap.fill(words, 50 * columns + 10), x=0.01, ha="left", fontsize=8, color=_QUIET)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160, facecolor="white", metadata={"Software": None} if path.suffix == ".png" else None)
    return path
