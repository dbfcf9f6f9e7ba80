"""`serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastemaker.cli.frame import Json, example, say

if TYPE_CHECKING:
    from tastemaker.serve.server import Started

DEFAULT_STORE = "sqlite:///tastemaker.db"
StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="TASTEMAKER_STORE",
        metavar="URL",
        help="sqlite:///FILE or postgresql://…; SQLite in this folder unless given.",
    ),
]


@example(
    "tastemaker serve runs/RUN/artifact",
    "tastemaker serve --store postgresql://shop@db/shop --host 0.0.0.0 --origin https://shop.example",
)
def serve(
    artifact: Annotated[
        Path | None,
        typer.Argument(
            metavar="[ARTIFACT]", help="The folder of a saved model; else the store's promoted version.", show_default=False
        ),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    host: Annotated[
        str, typer.Option(envvar="TASTEMAKER_HOST", metavar="ADDRESS", help="Where to listen; 0.0.0.0 for everybody.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="TASTEMAKER_PORT", min=0, max=65535, help="0 takes any free one.")] = 8000,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen to the network although there is no key.")] = False,
    models: Annotated[
        Path | None,
        typer.Option(
            envvar="TASTEMAKER_MODELS",
            metavar="DIR",
            help="Folder of model versions; beside the store unless given.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Folder of runs to show on the dashboard; $TASTEMAKER_RUNS or runs beside the store unless given.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            envvar="TASTEMAKER_ORIGINS",
            metavar="ORIGIN",
            help="A page's origin that may use browser keys; repeatable.",
            show_default=False,
        ),
    ] = None,
    rate_limit: Annotated[
        float | None,
        typer.Option(
            envvar="TASTEMAKER_RATE_LIMIT", min=0.01, metavar="N", help="Requests a second of each key.", show_default=False
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            envvar="TASTEMAKER_THREADS",
            min=1,
            metavar="N",
            help="Threads of the model; all cores but one unless given.",
            show_default=False,
        ),
    ] = None,
    slow_ms: Annotated[float, typer.Option(min=0, metavar="MS", help="Requests this slow are captured.")] = 250.0,
    access_log: Annotated[bool, typer.Option(help="A line of JSON for each request on standard error.")] = True,
    telemetry: Annotated[bool, typer.Option("--telemetry", help="Send OpenTelemetry traces (extra: telemetry).")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of serve, http, gate, jobs or language; repeatable.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve recommendations over HTTP, until SIGTERM; what is under way is answered first."""
    import gc

    gc.disable()  # until it is ready: what is made until then stays, and looking it through again and again takes a second
    from tastemaker.log import configure
    from tastemaker.serve.server import Plan
    from tastemaker.serve.server import serve as run
    from tastemaker.settings import override

    configure(json_lines=True)
    settings = override({}, set_ or ())
    http = dict(settings.get("http", {}))
    if origin:
        http["origins"] = tuple(origin)
    if rate_limit is not None:
        http["rate_limit"] = rate_limit
    plan = Plan(
        store=store,
        artifact=artifact,
        host=host,
        port=port,
        insecure=insecure,
        models=models,
        runs=runs,
        threads=threads,
        access_log=access_log,
        slow_ms=slow_ms,
        telemetry=telemetry,
        settings={**settings, "http": http},
    )
    run(plan, tell_address, _json if as_json else tell_ready)


def tell_address(url: str, is_open: bool) -> None:
    """Says where it listens, and to whom."""
    say(f"listening on {url}; open it in a browser; the page of the API is {url}/docs")
    if is_open:
        say("open: whoever reaches this address may do everything, until the first `tastemaker keys create`")
    else:
        say("each request needs a key: `tastemaker keys create` makes one")


def tell_ready(started: Started) -> None:
    """Prints three commands that work: a list, an event, and the list that knows the event."""
    key = "" if started.open else ' -H "Authorization: Bearer $KEY"'
    post = f"curl{key} -H 'Content-Type: application/json'"
    item = (started.item or "ITEM").replace("\\", "\\\\").replace('"', '\\"').replace("'", "'\\''")
    print(f"ready with {started.model or 'lists for everybody, as no model is promoted'}\n")
    print(f'{post} {started.url}/v1/recommendations -d \'{{"user_id":"me","limit":5}}\'')
    print(f'{post} {started.url}/v1/events -d \'{{"events":[{{"user_id":"me","item_id":"{item}"}}]}}\'')
    print(f'{post} {started.url}/v1/recommendations -d \'{{"user_id":"me","limit":5}}\'', flush=True)


def _json(started: Started) -> None:
    import sys

    from tastemaker.cli import show

    show.print_json({"url": started.url, "open": started.open, "model": started.model})
    sys.stdout.flush()
