"""`train`, `evaluate`, `compare`, `runs`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastemaker.cli.frame import Json, example

if TYPE_CHECKING:
    from tastemaker.experiment.config import Config
    from tastemaker.experiment.rank_config import RankConfig
    from tastemaker.experiment.result import RunResult
    from tastemaker.experiment.stage_config import StageConfig
    from tastemaker.store.base import Store

Settings = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Override a setting; may be repeated.")]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.", show_default=False)]


@example(
    "tastemaker train shop.toml",
    "tastemaker train shop.toml --set train.epochs=20 --set model.dim=32 --out runs/small --json",
    "tastemaker train shop.toml --store shop.db --promote",
    "tastemaker train orders.csv --auto --minutes 10",
    "tastemaker train ranker.toml --out runs/ranker",
)
def train(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A TOML file; with --auto also a source of events.", show_default=False)
    ],
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
    auto: Annotated[bool, typer.Option("--auto", help="Choose the model and its settings, or a blend of models.")] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, metavar="N", help="With --auto: for all of it, about; default: 10.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model as a config says, judge it beside baselines and save it.

    The run is a folder with the resolved config, a record per epoch, the report and the artifact (the saved model).
    With --store the sources in [data] are left aside. Where [model] names a ranker, it learns from labelled rows (`[data] rows`), and
    `tastemaker predict` asks it.

    With --auto the config names no model, or there is none at all, only events. Simple baselines and deep models are tried within the
    minutes given, those behind are given up early, the best are blended if that helps on the validation side, and the winner alone
    is judged on the test side. The report tells what was tried and why it was chosen.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.cli.report import print_report, print_retrieval, print_tradeoffs
    from tastemaker.errors import ConfigError
    from tastemaker.experiment.any_config import read_any
    from tastemaker.experiment.rank_config import RankConfig
    from tastemaker.experiment.run import train_run
    from tastemaker.experiment.stage_config import StageConfig
    from tastemaker.experiment.two_stage import stage_run

    log.configure()
    if store is None and (promote or name is not None):
        raise ConfigError("--promote or --name without --store", expected="--store URL with it")
    if minutes is not None and not auto:
        raise ConfigError(
            "--minutes without --auto", expected="--auto with it", hint="`tastemaker tune` searches settings of one model"
        )
    if auto:
        if store is not None or resume or writer:
            given = "--store" if store is not None else "--resume" if resume else "--writer"
            raise ConfigError(
                f"{given} beside --auto", expected="one of the two", hint="train the config.toml of its run with it"
            )
        _train_auto(config, set_ or [], out, 10.0 if minutes is None else minutes, as_json)
        return
    extra = [f"run.writers={writer!r}".replace("'", '"')] if writer else []
    resolved = read_any(config, [*(set_ or []), *extra])
    if isinstance(resolved, RankConfig):
        if store is not None:
            raise ConfigError(f"--store with the ranker {resolved.model_name!r}", expected="a config with [data] rows alone")
        _train_ranker(resolved, out, resume, as_json)
        return
    with contextlib.ExitStack() as stack:
        opened = None
        if store is not None:
            from tastemaker.store.base import open_store

            opened = stack.enter_context(open_store(store))
        with show.training() as on_record:
            if isinstance(resolved, StageConfig):
                result = stage_run(resolved, out, store=opened, resume=resume, on_record=on_record)
            else:
                result = train_run(resolved, out, store=opened, resume=resume, on_record=on_record)
        if not as_json:
            if "retrieval" in result.report:
                print_retrieval(result.report)
                print_tradeoffs(result.report)
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


def _train_ranker(config: RankConfig, out: Path | None, resume: bool, as_json: bool) -> None:
    from tastemaker.cli import show
    from tastemaker.cli.report import print_rank_report
    from tastemaker.experiment.ranking import rank_run

    with show.training() as on_record:
        result = rank_run(config, out, resume=resume, on_record=on_record)
    if as_json:
        show.print_json(result.to_dict())
        return
    print_rank_report(result.report)
    print(f"\nrun       {result.folder}\nartifact  {result.artifact}")


def _train_auto(source: str, overrides: list[str], out: Path | None, minutes: float, as_json: bool) -> None:
    from tastemaker.cli import show
    from tastemaker.cli.report import print_report, print_search
    from tastemaker.experiment.auto import read_auto, train_auto

    tree, base = read_auto(source, overrides)
    with show.searching() as tell:
        result = train_auto(tree, base, minutes=minutes, out=out, tell=tell)
    if as_json:
        show.print_json({**result.to_dict(), "search": result.report["search"]})
        return
    print_search(result.report["search"])
    print()
    print_report(result.report)
    print(f"\nrun       {result.folder}\nartifact  {result.artifact}")


@example(
    "tastemaker evaluate runs/RUN/artifact shop.toml",
    "tastemaker evaluate runs/RUN/artifact shop.toml --set evaluate.ks=[5,20] --json",
    "tastemaker evaluate runs/RUN/artifact shop.toml --language language.toml --users 500",
)
def evaluate(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="The folder of a saved model.", show_default=False)],
    config: ConfigFile,
    set_: Settings = None,
    language: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with a language model's order: a TOML file with a [language] section."),
    ] = None,
    users: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --language: ask for so many users; else all.")
    ] = None,
    side: Annotated[
        str, typer.Option(metavar="test|validation", help="With --language: validation, to choose its settings by.")
    ] = "test",
    as_json: Json = False,
) -> None:
    """Judge a saved model on the test side of a config's data and split.

    The [data], [split] and [evaluate] sections count; the model is the saved one. With --language the same lists are judged twice: as they
    are, and with the best candidates in the order of a language model, user by user, with what that cost. A --set of language.KEY is of
    that file.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.errors import ConfigError
    from tastemaker.evaluate.report import Report
    from tastemaker.experiment.any_config import read_any
    from tastemaker.experiment.rank_config import RankConfig
    from tastemaker.experiment.run import evaluate_artifact

    log.configure()
    spoken = [one for one in set_ or [] if one.startswith("language.")]
    if language is None and (spoken or users is not None or side != "test"):
        raise ConfigError("--users, --side or language settings without --language", expected="--language FILE with them")
    resolved = read_any(config, [one for one in set_ or [] if one not in spoken])
    if isinstance(resolved, RankConfig):
        raise ConfigError(
            f"the config of a ranker, {resolved.model_name}",
            expected="one with events",
            hint="`tastemaker predict` asks a ranker",
        )
    if language is not None:
        _evaluate_language(artifact, resolved, language, spoken, users, side, as_json)
        return
    report = evaluate_artifact(artifact, resolved)
    if as_json:
        show.print_json({"artifact": str(artifact), **report})
    else:
        among = f", ranked among {report['ranked_among']}" if report["ranked_among"] else ""
        print(f"{report['model']} on the test side{among}")
        show.console().print(Report.from_dict(report["test"]))


def _evaluate_language(
    artifact: Path, config: Config | StageConfig, file: Path, overrides: list[str], users: int | None, side: str, as_json: bool
) -> None:
    from tastemaker.cli import show
    from tastemaker.cli.report import print_language
    from tastemaker.errors import ConfigError
    from tastemaker.experiment.language import compare_language
    from tastemaker.recommend.language import LanguageSettings
    from tastemaker.settings import override, read_toml

    tree = override(read_toml(file), overrides)
    if unknown := sorted(tree.keys() - {"language"}):
        raise ConfigError(f"the section {unknown[0]!r} in {file.name}", expected="[language] alone")
    if side not in ("test", "validation"):
        raise ConfigError(f"--side {side}", expected="test or validation")
    settings = LanguageSettings.parse(tree.get("language", {}), "language")
    report = compare_language(artifact, config, settings, side=side, users=users)  # type: ignore[arg-type]
    if as_json:
        show.print_json({"artifact": str(artifact), **report})
    else:
        print_language(report)


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
    """Compare runs user by user: means with intervals, paired differences, Holm-corrected p-values, a plot.

    Runs of rankers are compared row by row, by the AUC of each label that they share.
    """
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


@example("tastemaker runs", "tastemaker runs --tuning search", "tastemaker runs --json")
def runs(
    tuning: Annotated[str | None, typer.Option(metavar="NAME", help="List the trials of a search instead.")] = None,
    as_json: Json = False,
) -> None:
    """List the runs: when, which model, how they ended, how well they did.

    An unfinished run is one whose process was killed; `train CONFIG --resume` goes on with it. Trials of `tune` are left out unless asked for.
    """
    from datetime import datetime

    from tastemaker.cli import show
    from tastemaker.experiment.ledger import Ledger

    ledger = Ledger()
    known = ledger.runs()
    found = [run for run in known if run.tuning == (tuning or "")]
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
                "tuning": run.tuning,
            }
            for run in found
        ]
        show.print_json({"runs": rows})
        return
    if not found:
        none = f"no trials of {tuning!r}" if tuning else "no runs"
        print(f"{none} in {ledger.path.parent}; `tastemaker {'tune' if tuning else 'train'} CONFIG` makes one")
        return
    side = "validation" if tuning else "test"
    figures = {run.id: run.validation if tuning else run.test for run in found}
    metric = next((name for one in figures.values() for name in one if name.startswith("ndcg")), "")
    metric = metric or next((name for one in figures.values() for name in one), "rmse")
    show.table(
        "",
        ["run", "model", "status", "started", "epochs", "seconds", f"{side} {metric}", "folder"],
        [
            (
                run.id,
                run.model,
                run.status,
                f"{datetime.fromtimestamp(run.started):%Y-%m-%d %H:%M}",
                run.epochs,
                run.train_seconds,
                figures[run.id].get(metric),
                run.folder,
            )
            for run in found
        ],
        left=4,
    )
    searches = sorted({run.tuning for run in known} - {""})
    if searches and not tuning:
        print(f"\nand trials of {', '.join(searches)}: `tastemaker runs --tuning NAME`")
