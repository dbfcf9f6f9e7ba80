"""Each modality and each fusion on movielens-1m, a tenth of whose films nobody has touched: python -m bench.content.movielens --data DIR --out DIR

Ratings of 4 and 5 are events. `[split] kind = "cold_items"`: all events of a tenth of the films, and a tenth of the others' events, are asked for on test; as
many on validation. Every run has the same questions, so all are paired user by user. Films have a plot (MiniLM), people and
facts (tf-idf) and a poster (EfficientNet-lite0), 3,256 of 3,706 of them.

Writes a table and one JSON line a run to OUT/movielens.jsonl. A run that is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import rich

from tastemaker.evaluate.significance import compare
from tastemaker.experiment.config import Config
from tastemaker.experiment.result import MODEL, RunResult
from tastemaker.experiment.run import train_run

MODALITIES: dict[str, dict[str, Any]] = {
    "plot": {"encoder": "transformer", "columns": ["title", "plot"]},
    "people": {"encoder": "tfidf", "columns": ["director", "writer", "actors"], "settings": {"dim": 1024}},
    "facts": {"encoder": "tfidf", "columns": ["genres", "year", "rated"], "settings": {"dim": 64, "max_share": 1.0}},
    "poster": {"encoder": "image_cnn", "columns": ["jpeg"], "settings": {"threads": 1}},
}
SMALL_POSTER: dict[str, Any] = MODALITIES["poster"] | {"settings": {"threads": 1, "size": 160}}
FITTED_POSTER: dict[str, Any] = SMALL_POSTER | {
    "settings": SMALL_POSTER["settings"]
    | {"tune": "last", "tuning": {"learning_rate": 3e-4, "steps": 150, "batch": 32, "checks": 5}}
}
COLUMNS = {
    "people": ["director", "writer", "actors"],
    "facts": ["genres", "year", "rated"],
    "words": ["title", "plot"],
}
RIDGE: dict[str, Any] = {"name": "content_ridge", "regularization": 3.0}
FUSIONS = ("concat", "outer", "gated", "attention")
ALL = tuple(MODALITIES)
SHOWN = ("ndcg@10", "recall@20")
PARTS = ("items/cold", "items/cold_among_cold", "items/warm_among_warm")


def runs(model: dict[str, Any], train: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name: sections of each run."""
    deep = {"model": model, "train": train}
    found: dict[str, dict[str, Any]] = {"popularity": {"model": {"name": "popularity"}}}
    found |= {f"knn {name}": {"model": {"name": "content_knn"}, "content": told(name)} for name in ALL}
    found["knn poster, 160 pixels"] = {"model": {"name": "content_knn"}, "content": {"modalities": {"poster": SMALL_POSTER}}}
    found["knn poster, 160 pixels, fitted"] = {
        "model": {"name": "content_knn"},
        "content": {"modalities": {"poster": FITTED_POSTER}},
    }
    for name, columns in COLUMNS.items():
        found[f"ridge {name}"] = {"model": RIDGE | {"columns": columns}}
    for name in ("plot", "poster"):
        found[f"ridge {name}, vectors"] = {"model": RIDGE, "content": told(name)}
    every = RIDGE | {"columns": [one for columns in COLUMNS.values() for one in columns], "weights": {"plot_vector": 2.0}}
    vectors = {"modalities": {"plot_vector": MODALITIES["plot"], "poster": MODALITIES["poster"]}}
    found |= {"ridge all": {"model": every, "content": vectors}, "ids": deep}
    found |= {fusion: deep | {"content": told(*ALL) | {"fusion": fusion, "id_dropout": 0.5}} for fusion in FUSIONS}
    found["gated, pre-trained"] = deep | {"content": told(*ALL) | {"fusion": "gated", "id_dropout": 0.5, "pretrain_epochs": 3}}
    settings = {key: value for key, value in model.items() if key != "name"}
    own = {key: value for key, value in every.items() if key != "name"}
    parts = [{"model": "content_ridge", "settings": own}, {"model": model["name"], "settings": settings, "train": train}]
    blend = {"name": "blend", "weights": "learned", "parts": parts}
    found["concat and ridge"] = {"model": blend, "content": vectors | {"fusion": "concat", "id_dropout": 0.5}}
    return found


def told(*names: str) -> dict[str, Any]:
    """A `[content]` section."""
    return {"modalities": {name: MODALITIES[name] for name in names}}


def joined(data: Path, out: Path) -> Path:
    """The catalogue with a column of posters, made if missing."""
    path = out / "films.parquet"
    if not path.exists():
        films = pq.read_table(data / "movielens-1m" / "items_extra.parquet")
        posters = pq.read_table(data / "movielens-1m-posters" / "posters.parquet").select(["item_id", "jpeg"])
        pq.write_table(films.join(posters, "item_id", join_type="left outer").sort_by("item_id"), path)
    return path


def config(sections: dict[str, Any], data: Path, films: Path) -> Config:
    """A run's config; chosen by validation NDCG@10 of all questions, cold and warm."""
    columns = {"user": "user_id", "item": "item_id", "time": "timestamp", "value": "rating"}
    tree = {
        "data": {
            "events": str(data / "movielens-1m" / "interactions.parquet"),
            "items": str(films),
            "columns": columns,
            "min_value": 4.0,
        },
        "split": {"kind": "cold_items"},
        "evaluate": {"metrics": ["ndcg", "recall"], "ks": [10, 20], "baselines": [], "select": "ndcg@10", "coldness": True},
        **sections,
    }
    return Config.parse(tree, films.parent)


def row(name: str, result: RunResult) -> dict[str, Any]:
    """What is told of a run."""
    test = result.report["test"]
    parts = {part: test["parts"][part]["metrics"] for part in PARTS}
    return {
        "run": name,
        "settings": result.report["settings"],
        "epochs": result.report["epochs"],
        "seconds": result.report["train_seconds"],
        "memory_mb": result.report["peak_memory_mb"],
        "all": test["metrics"],
        **parts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default='{"name": "two_tower", "dim": 64}', help="a [model] section as JSON")
    parser.add_argument("--train", default='{"epochs": 4, "threads": 1}', help="a [train] section as JSON")
    parser.add_argument("--only", action="append", default=[], help="names of runs")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    films, results = joined(asked.data, asked.out), dict[str, RunResult]()
    for name, sections in runs(json.loads(asked.model), json.loads(asked.train)).items():
        if asked.only and name not in asked.only:
            continue
        folder = asked.out / name.replace(" ", "-").replace(",", "")
        done = (folder / "report.json").exists()
        results[name] = RunResult.read(folder) if done else train_run(config(sections, asked.data, films), folder)
    rows = [row(name, result) for name, result in results.items()]
    (asked.out / "movielens.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    heads = [f"{part} {metric}" for part in ("all", *PARTS) for metric in SHOWN]
    print(f"{'':<20}" + "".join(f"{head:>32}" for head in heads))
    for one in rows:
        print(f"{one['run']:<20}" + "".join(f"{one[part][metric]:>32.4f}" for part in ("all", *PARTS) for metric in SHOWN))
    if len(results) > 1:
        rich.print(compare({name: result.tests()[MODEL] for name, result in results.items()}))


if __name__ == "__main__":
    main()
