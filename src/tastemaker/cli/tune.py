"""`tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastemaker.cli.frame import Json, example
from tastemaker.cli.train import ConfigFile, Settings

if TYPE_CHECKING:
    from tastemaker.experiment.study import Attempt
    from tastemaker.experiment.tune import Progress, Tuned

_SHOWN = 20


@example(
    "tastemaker tune shop.toml --minutes 10",
    "tastemaker tune shop.toml --minutes 60 --jobs 4 --out runs/search",
    "tastemaker tune shop.toml --minutes 60 --jobs 4 --out runs/search --resume",
    "tastemaker tune shop.toml --trials 20 --set tune.model.dim=[16,32,64]",
    "tastemaker train runs/search/best.toml",
)
def tune(
    config: ConfigFile,
    minutes: Annotated[float | None, typer.Option(min=0.01, metavar="N", help="How long to search.")] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="How many trials to make; in all with --resume.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="J", help="Processes that try side by side and share the cores.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in --out, else with the newest of this config.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to work in; default: a fresh one in runs/.")
    ] = None,
    set_: Settings = None,
    as_json: Json = False,
) -> None:
    """Search good settings for the model of a config: those that do best on validation.

    The section [tune] names what is searched: a list of choices (model.dim = 32, 64 or 128) or a range such as
    train.learning_rate = { low = 1e-4, high = 1e-2, log = true }. Without it the settings that matter most for the model are searched
    around their present values. Poor trials end early, and each trial is a run in the ledger (`tastemaker runs --tuning NAME`).

    The test side is never looked at: `tastemaker train` does that once, with the best.toml that this writes. Ctrl-C ends the search
    with what was found; --resume goes on with it, also after a kill.
    """
    from tastemaker import log
    from tastemaker.cli import show
    from tastemaker.experiment.config import read_config
    from tastemaker.experiment.tune import tune as search

    log.configure()

    with show.searching() as tell:
        ended = 0

        def on_progress(now: Progress) -> None:
            nonlocal ended
            best = "" if now.best is None else f"best {abs(now.best.metric):.4f} (trial {now.best.number}), "
            lines = [_told(one) for one in now.attempts[ended:]]
            ended = len(now.attempts)
            tell(now.share, f"{best}{ended} done, {now.running} under way", "\n".join(lines))

        found = search(
            read_config(config, set_ or []),
            out,
            minutes=minutes,
            trials=trials,
            jobs=jobs,
            resume=resume,
            on_space=lambda lines: tell(0.0, "", "\n  ".join(["searched:", *lines])),
            on_progress=on_progress,
        )
    if as_json:
        show.print_json(found.to_dict())
    else:
        print_tuned(found)


def _told(one: Attempt) -> str:
    values = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in one.values.items())
    figure = "" if one.epochs is None else f" {abs(one.metric):.4f} ± {one.spread:.4f}"
    return f"trial {one.number} ({values}):{figure} in {one.seconds:.1f} s, {one.why}"


def print_tuned(found: Tuned) -> None:
    """Prints the trials, best first, and what mattered."""
    from tastemaker.cli import show

    names = list(found.space)
    rows: list[tuple[Any, ...]] = []
    for one in found.attempts[:_SHOWN]:
        figure = None if one.epochs is None else found.sign * one.metric
        spread = "" if one.epochs is None else f"± {one.spread:.4f}"
        epochs = one.epochs or None
        rows.append(
            (one.number, *(one.values.get(name) for name in names), figure, spread, epochs, f"{one.seconds:.1f}", one.why)
        )
    more = len(found.attempts) - len(rows)
    title = f"{len(found.attempts)} trials by {found.metric} on validation" + (f", the best {len(rows)}" if more else "")
    show.table(title, ["trial", *names, found.metric, "95 %", "epochs", "seconds", "ended"], rows)
    if found.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importances.items())
        print(f"\nwhat mattered: {shares}")
    first = next((one for one in found.attempts if one.number == 0 and one.epochs is not None), None)
    if first is not None:
        print(
            f"as the config had it: {show.cell(found.sign * first.metric)}; best: {show.cell(found.sign * found.best.metric)}"
        )
    if found.interrupted:
        print("interrupted; --resume goes on")
    print(f"\nsearch  {found.folder}\nbest    {found.config}\n\n  tastemaker train {found.config}")
