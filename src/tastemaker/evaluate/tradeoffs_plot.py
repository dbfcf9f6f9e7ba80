"""The picture of trade-offs: a dot a weighting, what it gives of one label against another. Needs the extra `plot`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tastemaker.errors import MissingExtraError
from tastemaker.evaluate.tradeoffs import Tradeoffs

_INK, _QUIET, _GRID, _BEST = "#1b1f24", "#6e7781", "#e4e7eb", "#0a7d4f"


def write_tradeoffs(found: Tradeoffs, path: Path | str, title: str = "") -> Path:
    """Draws the trade-offs into `path` (.png, .svg or .pdf) and returns it: a row of panels a side, the first label against each other.

    Args:
        found: what `trade_offs` gave.
        path: the file to write; its folder is made if missing.
        title: a line on top.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing trade-offs") from None
    sides, others = found.sides, range(1, len(found.labels))
    figure = Figure(figsize=(4.2 * len(others), 3.6 * len(sides)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(sides), len(others), squeeze=False)
    for line, side in zip(panels, sides, strict=True):
        for panel, other in zip(line, others, strict=True):
            for point in sorted(found.points, key=lambda one: one.best):
                given, colour = point.given[side], _BEST if point.best else _QUIET
                (x, y), (x_bar, y_bar) = ((column[0], column[other]) for column in (given.values, given.intervals))
                panel.plot(x_bar, (y, y), "-", color=colour, linewidth=0.6, alpha=0.4)
                panel.plot((x, x), y_bar, "-", color=colour, linewidth=0.6, alpha=0.4)
                panel.plot([x], [y], "o", color=colour, markersize=5 if point.best else 3.5)
            ends = [found.points[0], found.points[-1]]
            for point in ends:
                words = ", ".join(f"{label} {weight:g}" for label, weight in zip(found.labels, point.weights, strict=True))
                place = (point.given[side].values[0], point.given[side].values[other])
                panel.annotate(words, place, xytext=(4, 5), textcoords="offset points", fontsize=6.5, color=_INK)
            panel.set_xlabel(f"{found.labels[0]}, mean of a list", fontsize=8, color=_QUIET)
            panel.set_ylabel(f"{found.labels[other]}, mean of a list", fontsize=8, color=_QUIET)
            panel.set_title(side, loc="left", fontsize=10, color=_INK, fontweight="bold")
            panel.tick_params(labelsize=7.5, labelcolor=_QUIET, length=0)
            panel.grid(color=_GRID, linewidth=0.8)
            panel.set_axisbelow(True)
            panel.margins(0.15)
            for spine in panel.spines.values():
                spine.set_color(_GRID)
    words = f"a dot a weighting, bars {found.confidence:.0%} intervals; green: non-dominated on {sides[0]}"
    figure.supxlabel(
        textwrap.fill(words, 55 * len(others), break_on_hyphens=False), x=0.01, ha="left", fontsize=8, color=_QUIET
    )
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=_INK)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160, facecolor="white", metadata={"Software": None} if path.suffix == ".png" else None)
    return path
