"""`demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastemaker.cli.frame import example

if TYPE_CHECKING:
    from tastemaker.experiment.demo import Choice, Place

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
        _serve(place, choice, port)


def _serve(place: Place, choice: Choice, port: int) -> None:
    """Brings the shop into a store and answers over HTTP until Ctrl-C."""
    import socket

    import pyarrow.parquet as pq

    from tastemaker.cli import show
    from tastemaker.cli.serve import tell_address, tell_ready
    from tastemaker.serve.server import Plan, serve
    from tastemaker.store.bulk import load_events, load_items
    from tastemaker.store.sql import SqlStore

    show.heading("Served: a new customer, a click, and another answer")
    file = place.folder / "shop.db"
    with SqlStore(str(file)) as store:
        if not store.last_sequence():
            load_events(store, pq.read_table(place.data / "events.parquet"))
            load_items(store, pq.read_table(place.data / "items.parquet"))
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    plan = Plan(store=str(file), artifact=choice.artifact, port=0 if taken else port, access_log=False)
    serve(plan, tell_address, tell_ready)
    print("stopped; the same again: " + f"tastemaker serve {choice.artifact} --store {file}")
