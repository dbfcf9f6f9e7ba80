"""What verbs print: tables for people, one JSON object for programs, and how training goes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from tastemaker.train.loop import Record


def console(*, error: bool = False) -> Console:
    """Standard output (or error) as rich writes to it; made when asked, so that tests may swap the streams."""
    stream = sys.stderr if error else sys.stdout
    wide = None if stream.isatty() else 140  # a file has no width: lines are not cut at 80
    return Console(file=stream, width=wide, highlight=False, soft_wrap=False)


def print_json(value: Mapping[str, Any]) -> None:
    """One line of JSON; NaN and infinities become null."""
    from tastemaker.experiment.result import plain

    print(json.dumps(plain(value), ensure_ascii=False, allow_nan=False), flush=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, left: int = 1, error: bool = False) -> None:
    """Prints a table; the first `left` columns are text, the others figures."""
    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        drawn.add_column(Text(name), justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell(value)) for value in row))
    console(error=error).print(drawn)


def heading(text: str) -> None:
    """A line that begins a part."""
    out = console()
    out.print()
    out.rule(Text(text, style="bold"), align="left", characters="─")


def cell(value: Any) -> str:
    """A value as tables show it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


class _Figures(ProgressColumn):
    """Loss, metric and speed of the latest record."""

    def render(self, task: Task) -> Text:
        record = task.fields.get("record")
        if record is None:
            return Text("")
        best = "" if record.best_metric is None else f"  best {record.best_metric:.4f} (epoch {record.best_epoch})"
        return Text(f"loss {record.loss:.4f}{best}  {record.targets_per_second:,.0f} examples/s")


@contextmanager
def training(metric: str = "") -> Iterator[Callable[[Record], None]]:
    """Shows records as they come: a bar where standard error is a terminal, else a line per epoch.

    The time left is that of the epoch: when early stopping will end the run is not known.
    """
    if not sys.stderr.isatty():
        yield _line
        return
    bar = Progress(
        TextColumn("epoch {task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        _Figures(),
        TimeRemainingColumn(compact=True),
        console=console(error=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=1.0, visible=False)
        epoch = 0

        def show(record: Record) -> None:
            nonlocal epoch
            if record.epoch != epoch:
                epoch = record.epoch
                bar.reset(task, total=1.0, visible=True, description=f"{epoch}/{record.epochs}")
            bar.update(task, completed=record.share, record=record)

        yield show


@contextmanager
def searching() -> Iterator[Callable[[float, str, str], None]]:
    """Shows how a search goes: the share that is over, what is going on, and a line for whatever ended.

    A bar with the time left where standard error is a terminal; the lines everywhere.
    """
    if not sys.stderr.isatty():

        def plain(share: float, state: str, line: str) -> None:
            if line:
                print(line, file=sys.stderr, flush=True)

        yield plain
        return
    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(error=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def show(share: float, state: str, line: str) -> None:
            bar.update(task, completed=share, description=state or bar.tasks[0].description)
            if line:
                bar.console.print(Text(line))

        yield show


def _line(record: Record) -> None:
    if record.complete:
        metric = (
            ""
            if record.metric is None
            else f"  metric {record.metric:.4f}  best {record.best_metric:.4f} (epoch {record.best_epoch})"
        )
        text = f"epoch {record.epoch}/{record.epochs}  loss {record.loss:.4f}{metric}  {record.targets_per_second:,.0f} examples/s  {record.seconds:.1f} s"
        print(text, file=sys.stderr, flush=True)
