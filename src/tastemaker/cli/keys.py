"""`keys`: who may use a service."""

from __future__ import annotations

from typing import Annotated

import typer

from tastemaker.cli.frame import Json, example
from tastemaker.cli.serve import DEFAULT_STORE, StoreUrl


@example(
    "tastemaker keys create --scopes recommend,events:write --name shop",
    "tastemaker keys create --browser --name page --json",
)
def create(
    store: StoreUrl = DEFAULT_STORE,
    scopes: Annotated[
        str,
        typer.Option(
            metavar="A,B…", help="recommend, events:write, catalog:write, models, metrics, admin.", show_default=False
        ),
    ] = "",
    name: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.", show_default=False)] = "",
    browser: Annotated[
        bool, typer.Option("--browser", help="For a page: recommend and events:write, of one user only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is printed this once and kept nowhere."""
    from tastemaker.cli import show
    from tastemaker.serve.auth import new_key
    from tastemaker.serve.browser import master, signing_secret
    from tastemaker.store.base import open_store

    key, secret = new_key([scope.strip() for scope in scopes.split(",") if scope.strip()], name, browser=browser)
    with open_store(store) as opened:
        opened.add_key(key)
        opened.audit("command line", "keys.create", {"key_id": key.key_id, "scopes": sorted(key.scopes)})
        signing = signing_secret(master(opened), key.key_id) if browser else None
    if as_json:
        made = {"key_id": key.key_id, "secret": secret, "scopes": sorted(key.scopes), "signing_secret": signing}
        show.print_json(made)
        return
    print(f"{key.key_id} may {', '.join(sorted(key.scopes))}\nsecret          {secret}")
    if signing is not None:
        print(
            f"signing secret  {signing}\nThe signing secret is for your own server, to sign user tokens; it must not reach the page."
        )


@example("tastemaker keys list", "tastemaker keys list --store shop.db --json")
def list_(store: StoreUrl = DEFAULT_STORE, as_json: Json = False) -> None:
    """List the keys, without their secrets."""
    from tastemaker.cli import show
    from tastemaker.serve.auth import key_row
    from tastemaker.store.base import open_store

    with open_store(store) as opened:
        found = opened.keys()
    rows = [key_row(key) for key in found]
    if as_json:
        show.print_json({"keys": rows})
        return
    show.table(
        "",
        ["key", "name", "scopes", "browser", "made", "revoked"],
        [
            (
                row["key_id"],
                row["name"],
                ", ".join(row["scopes"]),
                "yes" if row["browser"] else "",
                row["created"],
                row["revoked"] or "",
            )
            for row in rows
        ],
        left=6,
    )


@example("tastemaker keys revoke key_4f2a9c01d7e3")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="As `keys list` names it.", show_default=False)],
    store: StoreUrl = DEFAULT_STORE,
    as_json: Json = False,
) -> None:
    """Revoke a key; running services refuse it within two seconds."""
    import time

    from tastemaker.cli import show
    from tastemaker.errors import ConfigError
    from tastemaker.store.base import open_store

    with open_store(store) as opened:
        if not opened.revoke_key(key_id, time.time_ns() // 1000):
            raise ConfigError(f"no key {key_id!r} in force", hint="`tastemaker keys list` lists all")
        opened.audit("command line", "keys.revoke", {"key_id": key_id})
    if as_json:
        show.print_json({"key_id": key_id, "revoked": True})
    else:
        print(f"{key_id} is revoked")
