"""`recommend`, `similar`, `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastemaker.cli.frame import Json, example

if TYPE_CHECKING:
    from tastemaker.recommend.recommender import Answer

Artifact = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="The folder of a saved model.", show_default=False)]
Length = Annotated[int, typer.Option("-k", min=1, help="Length of the list.")]


@example(
    "tastemaker recommend runs/RUN/artifact --user 17850 --reasons",
    "tastemaker recommend runs/RUN/artifact --history 85123A,71053 -k 5 --json",
    "tastemaker recommend runs/RUN/artifact --all --out lists.parquet",
)
def recommend(
    artifact: Artifact,
    user: Annotated[str | None, typer.Option(metavar="ID", help="For a user.")] = None,
    history: Annotated[str | None, typer.Option(metavar="ID,ID…", help="For who did these items, oldest first.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="For every user, into the file --out.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.parquet", help="With --all: user_id, item_id, rank, score.")] = None,
    k: Length = 10,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Items of the history may come back.")] = False,
    reasons: Annotated[bool, typer.Option("--reasons", help="Say what each recommendation stands on.")] = False,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, to somebody with a history, or to everybody."""
    from tastemaker.cli import show
    from tastemaker.errors import ConfigError
    from tastemaker.recommend.artifact import load
    from tastemaker.recommend.bulk import write_all

    if (user is not None) + (history is not None) + all_ != 1:
        raise ConfigError("none or several of --user, --history, --all", expected="one of them", hint="see `recommend --help`")
    if all_ != (out is not None):
        raise ConfigError(
            "--all without --out" if all_ else "--out without --all", expected="--all and --out FILE.parquet together"
        )
    if all_ and reasons:
        raise ConfigError("--reasons with --all", hint="ask for reasons with --user or --history")
    recommender = load(artifact)
    if out is not None:
        rows = write_all(recommender, out, k, include_seen=include_seen)
        if as_json:
            show.print_json({"out": str(out), "rows": rows, "users": len(recommender.users), "k": k})
        else:
            print(f"{rows:,} rows for {len(recommender.users):,} users in {out}")
        return
    options: dict[str, Any] = {"include_seen": include_seen, "reasons": reasons}
    asked: dict[str, Any]
    if user is not None:
        answer, asked = recommender.recommend(user, k, **options), {"user": user}
    else:
        ids = [part.strip() for part in (history or "").split(",") if part.strip()]
        answer, asked = recommender.recommend_history(ids, k, **options), {"history": ids}
    _print(answer, asked, reasons, as_json)


@example("tastemaker similar runs/RUN/artifact --item 85123A -k 5")
def similar(
    artifact: Artifact,
    item: Annotated[str, typer.Option(metavar="ID", help="The item.", show_default=False)],
    k: Length = 10,
    as_json: Json = False,
) -> None:
    """List the items most like an item."""
    from tastemaker.recommend.artifact import load

    recommender = load(artifact)
    answer = recommender.similar(item, k)
    _print(answer, {"item": item, "name": recommender.name(item)}, False, as_json)


def _print(answer: Answer, asked: dict[str, Any], reasons: bool, as_json: bool) -> None:
    from tastemaker.cli import show

    if as_json:
        show.print_json({**asked, **answer_dict(answer, reasons)})
        return
    print_answer(answer)


def answer_dict(answer: Answer, reasons: bool) -> dict[str, Any]:
    """An answer as JSON gives it."""
    items = []
    for one in answer:
        row: dict[str, Any] = {"item": one.item, "name": one.name, "score": one.score, "rank": one.rank}
        if reasons:
            row["reasons"] = [{"item": reason.item, "name": reason.name, "share": reason.share} for reason in one.reasons]
        items.append(row)
    return {"items": items, "fallback": answer.fallback, "unknown": list(answer.unknown)}


def print_answer(answer: Answer, title: str = "") -> None:
    """An answer as a table."""
    from tastemaker.cli import show

    why = any(one.reasons for one in answer)
    rows = [
        (one.item, one.name, "; ".join(reason.name for reason in one.reasons), one.score)
        if why
        else (one.item, one.name, one.score)
        for one in answer
    ]
    columns = ["item", "name", "because of", "score"] if why else ["item", "name", "score"]
    show.table(title, columns, rows, left=len(columns) - 1)
    if answer.unknown:
        print(f"skipped, as not in the vocabulary: {', '.join(map(str, answer.unknown))}")
    if answer.fallback:
        print(f"these come from {answer.fallback}: the model had nothing to go by")


@example(
    "tastemaker predict runs/RUN/artifact rows.csv --out predicted.parquet",
    "tastemaker predict runs/RUN/artifact rows.csv -k 5 --json",
    "tastemaker predict runs/RUN/artifact rows.csv -k 5 --objective click=1,buy=4",
)
def predict(
    artifact: Artifact,
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="A file of rows, or URL#table.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.parquet", help="All rows, with a column of probabilities for each label.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Without --out: rows that are shown, the best first.")] = 10,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What is best: one of the [objectives] it was trained with, or weights of its labels."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a trained ranker how likely each row is: a click, a purchase, or whatever its labels were.

    Rows are ordered by the first objective of its config; without one, by the first label.
    """
    from tastemaker.cli import show
    from tastemaker.recommend.predictor import load_predictor
    from tastemaker.recommend.scored import score_file

    predictor = load_predictor(artifact)
    table, names = score_file(predictor, rows, out, objective)
    by = names[-1] if names[-1].startswith("score(") else names[0]
    best = table.slice(0, 0) if out is not None else table.take(_highest(table, by, k))
    if as_json:
        written = None if out is None else str(out)
        show.print_json({"rows": len(table), "outputs": names, "ordered_by": by, "out": written, "best": best.to_pylist()})
    elif out is not None:
        print(f"{len(table):,} rows in {out}; probabilities in {', '.join(names)}")
    else:
        columns = [*names, *predictor.encoder.columns]
        show.table("", columns, [tuple(row[name] for name in columns) for row in best.to_pylist()], left=0)


def _highest(table: Any, name: str, count: int) -> Any:
    import pyarrow.compute as pc

    return pc.select_k_unstable(table, count, [(name, "descending")]) if len(table) else []
