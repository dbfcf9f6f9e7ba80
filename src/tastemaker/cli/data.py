"""`data import`, `data describe`, `data impressions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tastemaker.cli.frame import Json, example


@example(
    "tastemaker data import orders.csv --to shop --items products.csv --user customer --item sku --time date",
    "tastemaker data import 'postgresql://user@host/db#events' --to shop --json",
)
def import_(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE…", help="Files, patterns or URL#table.", show_default=False)],
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.", show_default=False)],
    items: Annotated[str | None, typer.Option(metavar="FILE", help="The catalogue.")] = None,
    users: Annotated[str | None, typer.Option(metavar="FILE", help="What is known of users.")] = None,
    user: Annotated[str | None, typer.Option(metavar="COL", help="Column of user ids.")] = None,
    item: Annotated[str | None, typer.Option(metavar="COL", help="Column of item ids, or of lists of them.")] = None,
    time: Annotated[str | None, typer.Option(metavar="COL", help="Column of times.")] = None,
    value: Annotated[str | None, typer.Option(metavar="COL", help="Column of values (ratings, seconds, …).")] = None,
    kind: Annotated[str | None, typer.Option(metavar="COL", help="Column of kinds of behaviour.")] = None,
    as_json: Json = False,
) -> None:
    """Read events, items and users into a folder, and say what was found and what was left out.

    Columns that are not named are found by their names. The folder serves as `events` in a config.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.data.config import DataConfig
    from tastemaker.data.load import import_to

    log.configure()
    columns = {"user": user, "item": item, "time": time, "value": value, "kind": kind}
    named = {key: name for key, name in columns.items() if name is not None}
    config = DataConfig.parse({"events": sources, "items": items, "users": users, "columns": named}, "data")
    report = import_to(to, config)
    if as_json:
        show.print_json({"folder": str(to), **report.to_dict()})
    else:
        print(f"{report.to_text()}\nwritten to {to}")


@example(
    "tastemaker data describe shop",
    "tastemaker data describe events.csv --set split.kind=by_time --set data.min_per_item=5 --json",
    "tastemaker data describe ranker.toml",
)
def describe(
    source: Annotated[
        str, typer.Argument(metavar="DIR_OR_FILE", help="A folder, file, URL#table or config (.toml).", show_default=False)
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="A setting of [data] or [split].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is in the data and what is wrong with it, also under a split: each problem with its remedy.

    Of a ranker's config: what each column of its rows is taken for, as a [features] section to edit, and which fields tell the label.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.experiment.explore import explore, explore_rows, names_ranker

    log.configure()
    if names_ranker(source):
        found = explore_rows(source, set_ or [])
        if as_json:
            show.print_json({"source": source, **found.to_dict()})
        else:
            found.print(show.console())
        return
    imported, quality = explore(source, set_ or [])
    if as_json:
        facts: dict[str, Any] = quality.to_dict()
        show.print_json({"source": source, **facts, "import": imported.to_dict()})
    else:
        print(imported.to_text())
        show.console().print(quality)


@example(
    "tastemaker data impressions shop.db --to rows.parquet",
    "tastemaker data impressions shop.db --to new.parquet --after 51200 --label click --within 24 --artifact runs/RUN/artifact --json",
)
def impressions(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="sqlite:///FILE, a file, or postgresql://…", show_default=False)
    ],
    to: Annotated[Path, typer.Option(metavar="FILE.parquet", help="The file to write.", show_default=False)],
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KIND", help="A kind of event that is a label; default: all there are."),
    ] = None,
    within: Annotated[
        float | None, typer.Option(metavar="HOURS", help="What comes later than so long after an answer did not come of it.")
    ] = None,
    after: Annotated[int, typer.Option(metavar="N", help="Only answers later than those of a call that said so.")] = 0,
    artifact: Annotated[
        Path | None, typer.Option(metavar="ARTIFACT", help="Make the rows that this two-stage recommender reads.")
    ] = None,
    history: Annotated[int | None, typer.Option(min=1, metavar="N", help="Newest events of a user that are looked at.")] = None,
    as_json: Json = False,
) -> None:
    """Write what a service showed, a row an item: its position, what was known at that moment, and what came of it.

    A ranker learns from the file: [data] rows = "rows.parquet", label = "label.click", group = "recommendation_id", time = "at", and
    [features] position = "position", leave_out = ["source", …the other labels].
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.data.features.moments import MomentsConfig
    from tastemaker.experiment.impressed import write_impressions

    log.configure()
    moments = None if history is None else MomentsConfig.parse({"history": history})
    found = write_impressions(store, to, after=after, horizon_hours=within, kinds=label or (), moments=moments, like=artifact)
    if as_json:
        show.print_json(found)
        return
    print(f"{found['rows']:,} rows of {found['answers']:,} answers in {to}; --after {found['after']} for the next")
    for name, share in found["labels"].items():
        print(f"{name}: {share:.2%}")
