"""`demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastemaker.cli.frame import example

if TYPE_CHECKING:
    from tastemaker.experiment.demo import Choice, Place
    from tastemaker.experiment.result import RunResult
    from tastemaker.serve.server import Started

PORT = 8000


@example("tastemaker demo", "tastemaker demo --out runs/demo --no-serve")
def demo(
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to work in; default: a fresh one in runs/.")
    ] = None,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End when all is shown.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve; any free port if this one is taken.")] = PORT,
) -> None:
    """The main job on the shipped sample, from a real shop: import, check, train, compare, recommend, explain, serve."""
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.cli.ask import print_answer
    from tastemaker.cli.report import print_report
    from tastemaker.experiment import demo as job

    log.configure()
    heading = show.heading
    heading("1. Import: a year of a gift-ware shop")
    place = job.prepare(out)
    print(place.imported.to_text())
    print(f"written to {place.data}\nconfig in {place.config}")

    heading("2. Data check, split by time")
    show.console().print(job.check(place))

    heading("3. Train sasrec and set it beside tuned baselines")
    with show.training() as on_record:
        result = job.train(place, on_record)
    print_report(result.report)

    heading("4. Choose by validation")
    choice = job.choose(place, result)
    print(choice.words)

    heading("5. Recommend to a few customers")
    for user, bought, answer in job.customers(choice.recommender):
        print(f"\ncustomer {user} bought last: {'; '.join(bought)}")
        print_answer(answer)

    heading("6. Similar items")
    for name, answer in job.likenesses(choice.recommender):
        print(f"\nlike {name}:")
        print_answer(answer)

    heading("Saved, and three commands to try next")
    print(f"artifact  {choice.artifact}\n")
    for command in job.next_commands(place, choice):
        print(f"  {command}")

    if not no_serve:
        _serve(place, result, choice, port)


def open_shop(place: Place, result: RunResult, choice: Choice) -> Path:
    """The shop's store: its events and items, the trained models as versions, and the chosen one in use.

    Returns:
        The SQLite file, for `tastemaker serve --store`.
    """
    import tomllib

    import pyarrow.parquet as pq

    from tastemaker.errors import RequestError
    from tastemaker.serve.registry import Registry
    from tastemaker.serve.training import entered
    from tastemaker.store.bulk import load_events, load_items
    from tastemaker.store.sql import SqlStore

    file = place.folder / "shop.db"
    with SqlStore(str(file)) as store:
        if store.last_sequence():
            return file
        load_events(store, pq.read_table(place.data / "events.parquet"))
        load_items(store, pq.read_table(place.data / "items.parquet"))
        registry = Registry(store)
        config = tomllib.loads(place.config.read_text(encoding="utf-8"))
        del config["data"]["events"]
        version = entered(registry, result, result.report["model"], config=config, run=result.id)
        if choice.artifact != result.artifact:
            facts = {"config": {**config, "model": {"name": choice.name}}, "run": result.id}
            version = registry.add(choice.artifact, choice.name, facts)
        try:
            registry.promote(version.name, version.version)
        except RequestError as refused:
            print(f"the gate refused it, and it is put into use all the same: {refused}")
            registry.promote(version.name, version.version, force=True)
    return file


def _serve(place: Place, result: RunResult, choice: Choice, port: int) -> None:
    """Answers over HTTP, the dashboard included, until Ctrl-C."""
    import socket

    from tastemaker.cli import show
    from tastemaker.cli.serve import tell_address, tell_ready
    from tastemaker.data.vocabulary import FIRST
    from tastemaker.serve.server import Plan, serve

    show.heading("Served: open the shopfront, click, and see another answer")
    file = open_shop(place, result, choice)
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    plan = Plan(store=str(file), port=0 if taken else port, access_log=False)

    def ready(started: Started) -> None:
        tell_ready(started)
        print(
            f"\nthe shop, as a customer sees it: {started.url}/#/shopfront?user={choice.recommender.users.decode([FIRST])[0]}",
            flush=True,
        )

    serve(plan, tell_address, ready)
    print(f"stopped; the same again: tastemaker serve --store {file}")
