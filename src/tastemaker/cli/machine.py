"""`models`, `encoders`, `doctor`."""

from __future__ import annotations

import typer

from tastemaker.cli.frame import Json, example


@example("tastemaker models", "tastemaker models --json")
def models(as_json: Json = False) -> None:
    """List the models: their names in a config, what they learn from, what they are."""
    from tastemaker.cli import show
    from tastemaker.experiment.catalogue import catalogue

    rows = catalogue()
    if as_json:
        show.print_json({"models": rows})
        return
    show.table(
        "",
        ["name", "learns from", "what it is", "source"],
        [(row["name"], row["learns_from"], row["summary"], row["source"]) for row in rows],
        left=4,
    )


@example("tastemaker encoders", "tastemaker encoders --json")
def encoders(as_json: Json = False) -> None:
    """List the encoders: their names in a content section, what their columns hold, what they are."""
    from tastemaker.cli import show
    from tastemaker.experiment import catalogue

    rows = catalogue.encoders()
    if as_json:
        show.print_json({"encoders": rows})
        return
    show.table(
        "",
        ["name", "reads", "what it is", "source"],
        [(row["name"], row["reads"], row["summary"], row["source"]) for row in rows],
        left=4,
    )


@example("tastemaker doctor", "tastemaker doctor --json")
def doctor(as_json: Json = False) -> None:
    """Check this machine: Python, torch, processor, GPU, extras, memory, disk, the shipped sample, the ledger."""
    from tastemaker.cli import show
    from tastemaker.experiment.doctor import checks

    found = checks()
    if as_json:
        show.print_json({"checks": [{"name": one.name, "ok": one.ok, "found": one.found, "hint": one.hint} for one in found]})
    else:
        for one in found:
            mark = {True: "ok  ", False: "BAD ", None: "-   "}[one.ok]
            print(f"{mark}{one.name:<10} {one.found}" + (f"\n    {'':<10} hint: {one.hint}" if one.hint else ""))
    if any(one.ok is False for one in found):
        raise typer.Exit(1)
