"""`versions`: the trained models of a store, and which one is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastemaker.cli.frame import Json, example

if TYPE_CHECKING:
    from tastemaker.store.base import ModelVersion

StoreUrl = Annotated[str, typer.Option("--store", metavar="URL", help="The store.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the line of versions.", show_default=False)]
Number = Annotated[int, typer.Argument(metavar="VERSION", help="Its number.", show_default=False)]


@example("tastemaker versions list --store shop.db", "tastemaker versions list --store shop.db --json")
def list_(store: StoreUrl, as_json: Json = False) -> None:
    """List the versions: when, which state, what the gate said. `promoted` is the one in use."""
    from datetime import datetime

    from tastemaker.cli import show
    from tastemaker.store.base import open_store

    with open_store(store) as opened:
        found = opened.models()
    if as_json:
        show.print_json({"versions": [_row(one) for one in found]})
        return
    show.table(
        "",
        ["name", "version", "state", "model", "made", "gate"],
        [
            (
                one.name,
                one.version,
                one.state,
                one.facts.get("model"),
                f"{datetime.fromtimestamp(one.created / 1e6):%Y-%m-%d %H:%M}",
                _verdict(one),
            )
            for one in found
        ],
        left=6,
    )


@example("tastemaker versions add runs/RUN/artifact sasrec --store shop.db")
def add(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="The folder of a saved model.", show_default=False)],
    name: Name,
    store: StoreUrl,
    as_json: Json = False,
) -> None:
    """Take a saved model into the registry as a new candidate."""
    from tastemaker.serve.registry import Registry
    from tastemaker.store.base import open_store

    with open_store(store) as opened:
        _tell(Registry(opened).add(artifact, name), as_json)


@example("tastemaker versions promote sasrec 3 --store shop.db", "tastemaker versions promote sasrec 3 --store shop.db --force")
def promote(
    name: Name,
    version: Number,
    store: StoreUrl,
    force: Annotated[bool, typer.Option("--force", help="Skip the gate.")] = False,
    as_json: Json = False,
) -> None:
    """Put a version into use, if it passes the gate; running services take it within a second or two."""
    from tastemaker.serve.registry import Registry
    from tastemaker.store.base import open_store

    with open_store(store) as opened:
        _tell(Registry(opened).promote(name, version, force=force), as_json)


@example("tastemaker versions rollback --store shop.db")
def rollback(store: StoreUrl, as_json: Json = False) -> None:
    """Put the version back that was in use before the present one."""
    from tastemaker.serve.registry import Registry
    from tastemaker.store.base import open_store

    with open_store(store) as opened:
        _tell(Registry(opened).rollback(), as_json)


def _tell(version: ModelVersion, as_json: bool) -> None:
    from tastemaker.cli import show

    if as_json:
        show.print_json({"version": _row(version)})
        return
    print(f"{version.name} {version.version} is {version.state}")
    for warning in version.facts.get("gate", {}).get("warnings", []):
        print(f"warning: {warning}")


def _row(version: ModelVersion) -> dict[str, Any]:
    told = {"name": version.name, "version": version.version, "state": version.state, "path": version.path}
    return {**told, "created": version.created, "facts": dict(version.facts)}


def _verdict(version: ModelVersion) -> str:
    gate = version.facts.get("gate")
    if gate is None:
        return "forced" if version.facts.get("forced") else ""
    return "passed" if gate["passed"] else "; ".join(gate["reasons"])
