"""`store import`, `store backup`, `store restore`, `store verify`, `store statistics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastemaker.cli.frame import Json, example

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_STORE = "tastemaker.db"
StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="TASTEMAKER_STORE",
        help="sqlite:///FILE, a file, or postgresql://USER@HOST/DB (or TASTEMAKER_STORE).",
    ),
]


@example(
    "tastemaker store import shop --store shop.db",
    "tastemaker store import orders.csv --items products.csv --store postgresql://user@host/db --json",
)
def import_(
    source: Annotated[
        str, typer.Argument(metavar="DIR_OR_FILE", help="A folder written by `data import`, or events.", show_default=False)
    ],
    store: StoreUrl = DEFAULT_STORE,
    items: Annotated[str | None, typer.Option(metavar="FILE", help="The catalogue; a folder brings its own.")] = None,
    users: Annotated[str | None, typer.Option(metavar="FILE", help="What is known of users; a folder brings its own.")] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add to events that are there; the same again is there twice.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring events, items and users into a store, made where there is none. All events come in, or none."""
    import tempfile

    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.data.config import DataConfig
    from tastemaker.data.load import import_to
    from tastemaker.store.bulk import load_events, load_items, load_users
    from tastemaker.store.sql import SqlStore

    log.configure()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(source).expanduser()
        if not (folder / "events.parquet").is_file() or items or users:
            given = {"events": source, "items": items, "users": users}
            folder = Path(temporary)
            import_to(folder, DataConfig.parse({name: value for name, value in given.items() if value is not None}, "data"))
        with SqlStore(store) as opened:
            taken = {"events": load_events(opened, _table(folder / "events.parquet"), append=append)}
            for name, load in (("items", load_items), ("users", load_users)):
                taken[name] = load(opened, _table(folder / f"{name}.parquet")) if (folder / f"{name}.parquet").is_file() else 0
            shown = opened.url
    if as_json:
        show.print_json({"store": shown, **taken})
    else:
        print(f"{taken['events']:,} events, {taken['items']:,} items, {taken['users']:,} users are in {shown}")


@example("tastemaker store backup monday.backup --store shop.db")
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, and FILE.json beside it.", show_default=False)],
    store: StoreUrl = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Copy a store while it is in use. PostgreSQL is copied by pg_dump."""
    from tastemaker.cli import show
    from tastemaker.store import open_store

    with open_store(store, migrate=False) as opened:
        facts = opened.backup(str(to))
    if as_json:
        show.print_json(facts)
    else:
        print(f"{facts['bytes']:,} bytes written to {to}, sha256 {facts['sha256'][:16]}…")


@example("tastemaker store restore monday.backup --store new.db")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `store backup`.", show_default=False)],
    store: StoreUrl = DEFAULT_STORE,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a store that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Check a backup, put it in place and check it there. No service may use the store meanwhile."""
    from tastemaker.cli import show
    from tastemaker.store.copies import restore as put_back

    facts = put_back(source, store, replace=replace)
    if as_json:
        show.print_json(facts)
    else:
        print("restored and verified: " + ", ".join(f"{name} {value}" for name, value in facts.items() if name != "sha256"))


@example("tastemaker store verify --store shop.db --json")
def verify(store: StoreUrl = DEFAULT_STORE, as_json: Json = False) -> None:
    """Check that a store is whole and does not contradict itself; ends with 1 where it is damaged."""
    from tastemaker.cli import show
    from tastemaker.store import open_store

    with open_store(store, migrate=False) as opened:
        checks = opened.verify()
    if as_json:
        show.print_json(checks)
    else:
        print("\n".join(f"{name}: {found or 'none'}" for name, found in checks.items()))


@example("tastemaker store statistics --store postgresql://user@host/db")
def statistics(store: StoreUrl = DEFAULT_STORE, as_json: Json = False) -> None:
    """Count the rows and bytes of a store."""
    from tastemaker.cli import show
    from tastemaker.store import open_store

    with open_store(store, migrate=False) as opened:
        found = opened.statistics()
    if as_json:
        show.print_json(found)
    else:
        show.table("", ["", ""], sorted(found.items()))


def _table(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    table: Any = pq.read_table(path)
    return table
