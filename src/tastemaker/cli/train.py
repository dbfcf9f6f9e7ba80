"""`train`, `evaluate`, `compare`, `runs`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastemaker.cli.frame import Json, example

if TYPE_CHECKING:
    from tastemaker.experiment.result import RunResult
    from tastemaker.store.base import Store

Settings = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override a setting; may be repeated.")]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.", show_default=False)]


@example(
    "tastemaker train shop.toml",
    "tastemaker train shop.toml --set train.epochs=20 --set model.dim=32 --out runs/small --json",
    "tastemaker train shop.toml --store shop.db --promote",
)
def train(
    config: ConfigFile,
    set_: Settings = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run's folder; default: a fresh one in runs/.")] = None,
    writer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also write records to tensorboard, mlflow or wandb; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that was interrupted.")] = False,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Learn from the events and items of a store; the model becomes a version there."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --store: of the version; default: the model's.")
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="With --store: put the version into use if it passes the gate.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model as a config says, judge it beside baselines and save it.

    The run is a folder with the resolved config, a record per epoch, the report and the artifact (the saved model).
    With --store the sources in [data] are left aside.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.cli.report import print_report
    from tastemaker.errors import ConfigError
    from tastemaker.experiment.config import read_config
    from tastemaker.experiment.run import train_run

    log.configure()
    if store is None and (promote or name is not None):
        raise ConfigError("--promote or --name without --store", expected="--store URL with it")
    extra = [f"run.writers={writer!r}".replace("'", '"')] if writer else []
    resolved = read_config(config, [*(set_ or []), *extra])
    with contextlib.ExitStack() as stack:
        opened = None
        if store is not None:
            from tastemaker.store.base import open_store

            opened = stack.enter_context(open_store(store))
        with show.training() as on_record:
            result = train_run(resolved, out, store=opened, resume=resume, on_record=on_record)
        if not as_json:
            print_report(result.report)
            print(f"\nrun       {result.folder}\nartifact  {result.artifact}")
        told = {} if opened is None else _enter(opened, result, name or resolved.model_name, promote=promote, as_json=as_json)
    if as_json:
        show.print_json({**result.to_dict(), **told})


def _enter(store: Store, result: RunResult, name: str, *, promote: bool, as_json: bool) -> dict[str, Any]:
    """Makes the run's artifact a version of the store and, if asked, puts it into use."""
    from tastemaker.serve.registry import Registry
    from tastemaker.serve.training import entered

    registry = Registry(store)
    version = entered(registry, result, name)
    if not as_json:
        print(f"version   {version.name} {version.version}")
    if promote:
        version = registry.promote(version.name, version.version)
        if not as_json:
            print("promoted")
    return {"version": {"name": version.name, "version": version.version, "state": version.state}}


@example(
    "tastemaker evaluate runs/RUN/artifact shop.toml",
    "tastemaker evaluate runs/RUN/artifact shop.toml --set evaluate.ks=[5,20] --json",
)
def evaluate(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="The folder of a saved model.", show_default=False)],
    config: ConfigFile,
    set_: Settings = None,
    as_json: Json = False,
) -> None:
    """Judge a saved model on the test side of a config's data and split.

    The [data], [split] and [evaluate] sections count; the model is the saved one.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.evaluate.report import Report
    from tastemaker.experiment.config import read_config
    from tastemaker.experiment.run import evaluate_artifact

    log.configure()
    report = evaluate_artifact(artifact, read_config(config, set_ or []))
    if as_json:
        show.print_json({"artifact": str(artifact), **report})
    else:
        among = f", ranked among {report['ranked_among']}" if report["ranked_among"] else ""
        print(f"{report['model']} on the test side{among}")
        show.console().print(Report.from_dict(report["test"]))


@example(
    "tastemaker compare runs/RUN1 runs/RUN2", "tastemaker compare 20260301 20260302 --metric ndcg@10 --plot compare.png --json"
)
def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN…", help="Folders or names of finished runs.", show_default=False)
    ],
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Compare by this metric; may be repeated; default: all in common.")
    ] = None,
    plot: Annotated[Path, typer.Option(metavar="FILE", help="Where the plot goes.")] = Path("compare.png"),
    as_json: Json = False,
) -> None:
    """Compare runs user by user: means with intervals, paired differences, Holm-corrected p-values, a plot."""
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.evaluate.plot import write_comparison
    from tastemaker.experiment.compare import compare_runs

    log.configure()
    comparison = compare_runs(runs, metric or [])
    write_comparison(comparison, plot)
    if as_json:
        show.print_json({**comparison.to_dict(), "plot": str(plot)})
    else:
        show.console().print(comparison)
        print(f"plot  {plot}")


@example("tastemaker runs", "tastemaker runs --json")
def runs(as_json: Json = False) -> None:
    """List the runs: when, which model, how they ended, how well they did.

    An unfinished run is one whose process was killed; `train CONFIG --resume` goes on with it.
    """
    from datetime import datetime

    from tastemaker.cli import show
    from tastemaker.experiment.ledger import Ledger

    ledger = Ledger()
    found = ledger.runs()
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "run": run.id,
                "folder": str(run.folder),
                "model": run.model,
                "status": run.status,
                "started": run.started,
                "test": run.test,
                "validation": run.validation,
                "epochs": run.epochs,
                "train_seconds": run.train_seconds,
                "error": run.error,
            }
            for run in found
        ]
        show.print_json({"runs": rows})
        return
    if not found:
        print(f"no runs in {ledger.path.parent}; `tastemaker train CONFIG` makes one")
        return
    metric = next((name for run in found for name in run.test if name.startswith("ndcg")), "rmse")
    show.table(
        "",
        ["run", "model", "status", "started", "epochs", "seconds", f"test {metric}", "folder"],
        [
            (
                run.id,
                run.model,
                run.status,
                f"{datetime.fromtimestamp(run.started):%Y-%m-%d %H:%M}",
                run.epochs,
                run.train_seconds,
                run.test.get(metric),
                run.folder,
            )
            for run in found
        ],
        left=4,
    )
