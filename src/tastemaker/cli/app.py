"""All verbs of the `tastemaker` command."""

from __future__ import annotations

from typing import Annotated

import typer

from tastemaker import __version__
from tastemaker.cli import ask, data, demo, keys, machine, serve, store, train, tune, versions, weigh
from tastemaker.cli.frame import add, group

app = group()
_data = group(help="Import events, and look at them.")
_keys = group(help="Who may use a service.")
_versions = group(help="Trained models of a store: which there are, which one is in use.")
_store = group(help="Look after the store that a service works on.")


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def tastemaker(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From events and a catalogue to trained, honestly judged, explained recommendations."""


add(app, demo.demo)
app.add_typer(_data, name="data")
add(_data, data.import_, data.describe, data.impressions)
add(
    app,
    train.train,
    tune.tune,
    train.evaluate,
    train.compare,
    ask.recommend,
    ask.similar,
    ask.predict,
    weigh.tradeoffs,
    machine.models,
    machine.encoders,
    train.runs,
    machine.doctor,
)
app.add_typer(_versions, name="versions")
add(_versions, versions.list_, versions.add, versions.promote, versions.rollback)
add(app, serve.serve)
app.add_typer(_keys, name="keys")
add(_keys, keys.create, keys.list_, keys.revoke)
app.add_typer(_store, name="store")
add(_store, store.import_, store.backup, store.restore, store.verify, store.statistics)
