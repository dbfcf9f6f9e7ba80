"""`tradeoffs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tastemaker.cli.frame import Json, example


@example(
    "tastemaker tradeoffs runs/RUN",
    "tastemaker tradeoffs runs/RUN -k 5 --plot tradeoffs.png --json",
    "tastemaker tradeoffs runs/RUN --maximise click --floor buy=0.02",
)
def tradeoffs(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="The folder of a finished run of a ranker of several labels.", show_default=False),
    ],
    k: Annotated[int | None, typer.Option("-k", min=1, help="Rows of a list; default: 10, without data.group a tenth.")] = None,
    combine: Annotated[str, typer.Option(metavar="sum|product", help="How weighted labels become a score.")] = "sum",
    maximise: Annotated[
        str | None, typer.Option(metavar="LABEL", help="With --floor: find the weights that give most of this label.")
    ] = None,
    floor: Annotated[
        str | None, typer.Option(metavar="LABEL=VALUE", help="The least mean of this other label in a list.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what each weighting gives of each label.")] = None,
    as_json: Json = False,
) -> None:
    """Show what each weighting of a ranker's labels gives of each label, and which weightings no other beats.

    A list is the first rows of a group (`data.group`), ordered by the weighted labels; what it gives is the mean of its rows' labels. Weightings are chosen on the
    validation side, and the test side says what they give elsewhere. With --maximise and --floor one weighting is searched: the most of
    one label with that much of the other. Put it under [objectives.NAME] in the config, or ask `predict` with --objective.
    """
    from tastemaker.cli import show
    from tastemaker.errors import ConfigError
    from tastemaker.evaluate.tradeoffs_plot import write_tradeoffs
    from tastemaker.experiment.tradeoffs import constrained, sides_of, weigh

    if (maximise is None) != (floor is None):
        raise ConfigError("--maximise or --floor alone", expected="both: --maximise click --floor buy=0.02")
    if combine not in ("sum", "product"):
        raise ConfigError(f"--combine {combine}", expected="sum or product")
    if combine == "product" and maximise is not None:
        raise ConfigError("--combine product with --maximise", expected="a sum, for which the search is made")
    if plot is not None and maximise is not None:
        raise ConfigError("--plot with --maximise", expected="one of the two")
    sides, labels = sides_of(run)
    if maximise is not None:
        objective, given = constrained(sides, labels, maximise, _floor(str(floor)), k)
        if as_json:
            values = {side: dict(zip(labels, one.values, strict=True)) for side, one in given.items()}
            show.print_json({"run": str(run), "objective": objective.model_dump(mode="json"), "given": values})
            return
        rows = [
            (side, label, value, f"{low:.4f}…{high:.4f}")
            for side, one in given.items()
            for label, value, (low, high) in zip(labels, one.values, one.intervals, strict=True)
        ]
        print("weights = { " + ", ".join(f"{name} = {weight:.6g}" for name, weight in objective.weights.items()) + " }\n")
        show.table("", ["side", "label", "mean of a list", "95% interval"], rows, left=2)
        return
    found = weigh(sides, labels, combine, k)  # type: ignore[arg-type]
    if plot is not None:
        write_tradeoffs(found, plot, title=run.name)
    if as_json:
        told: dict[str, Any] = {"run": str(run), "combine": combine, **found.to_dict()}
        show.print_json({**told, "plot": None if plot is None else str(plot)})
        return
    show.console().print(found)
    if plot is not None:
        print(f"plot  {plot}")


def _floor(text: str) -> dict[str, float]:
    from tastemaker.errors import ConfigError

    label, _, value = text.rpartition("=")
    try:
        return {label.strip(): float(value)}
    except ValueError:
        raise ConfigError(f"--floor {text}", expected="a label and a number, such as buy=0.02") from None
