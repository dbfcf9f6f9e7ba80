"""Onboarding judged offline: what few answers are worth, by which items were asked about; answers are simulated from ratings.

```
python -m bench.onboarding --users 200 --seeds 3
```
Of each held-out user four fifths of the ratings answer: an item rated 4 or 5 is liked, one rated less is disliked, any other is not known. The
liked items of the other fifth are what is right. All other users are learned from: prototypes from their ratings, and an `ease` model from
what they liked. After k answers the items are ranked twice: by P(like | answers), and by the model, which reads the likes. Items that were
asked about are left out of no list and of no truth, so that all ways of asking are judged on the same questions.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST
from tastemaker.evaluate.metrics import hits_of, ndcg
from tastemaker.evaluate.significance import mean_interval, paired_t
from tastemaker.recommend.onboarding import DISLIKE, LIKE, UNKNOWN_ITEM, Prototypes

LIKED_FROM = 4.0
STEPS = (0, 3, 5, 10)
K = 10
ANSWERED = 0.8


@dataclass(frozen=True)
class World:
    """Ratings in codes, and profiles."""

    users: list[np.ndarray]
    values: list[np.ndarray]
    profiles: list[dict[str, Any]]
    num_items: int


def movielens(folder: Path) -> World:
    """MovieLens 100K."""
    table = pq.read_table(folder / "interactions.parquet")
    people = pq.read_table(folder / "users.parquet").to_pylist()
    user_ids, user = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    items, item = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    rating = table["rating"].to_numpy().astype(np.float64)
    order = np.argsort(user, kind="stable")
    cuts = np.searchsorted(user[order], np.arange(len(user_ids) + 1))
    profile = {row.pop("user_id"): {k: v for k, v in row.items() if k in ("age", "gender", "occupation")} for row in people}
    rows = [order[cuts[n] : cuts[n + 1]] for n in range(len(user_ids))]
    return World(
        [item[row] + FIRST for row in rows],
        [rating[row] for row in rows],
        [profile.get(one, {}) for one in user_ids.tolist()],
        len(items) + FIRST,
    )


def histories(world: World, rows: np.ndarray) -> Histories:
    """The ratings of some users."""
    lengths = [len(world.users[row]) for row in rows]
    return Histories(
        np.concatenate([world.users[row] for row in rows]).astype(np.int32),
        np.zeros(sum(lengths), np.int64),
        np.concatenate([world.values[row] for row in rows]).astype(np.float32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def ease(liked: Histories, num_items: int, regularization: float = 200.0) -> np.ndarray:
    """EASE (Steck 2019): item-item weights (num_items, num_items)."""
    matrix = np.zeros((len(liked), num_items))
    matrix[np.repeat(np.arange(len(liked)), liked.lengths), liked.items] = 1
    inverse = np.linalg.inv(matrix.T @ matrix + regularization * np.eye(num_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


Ask = Callable[[dict[int, str], dict[str, Any]], int]


def ways(prototypes: Prototypes, known: Histories, num_items: int, rng: np.random.Generator) -> dict[str, Ask]:
    """How the next item is chosen: by information, by popularity, at random among those that may be asked, at random among all."""
    met = np.bincount(known.items, minlength=num_items)
    popular = np.argsort(-met, kind="stable")
    popular = popular[popular >= FIRST]

    def informed(answers: dict[int, str], profile: dict[str, Any]) -> int:
        banned = np.isin(prototypes.codes, list(answers))
        return int(prototypes.questions(prototypes.belief(answers, profile), 1, banned=banned)[0][0])

    def anyone(answers: dict[int, str], profile: dict[str, Any]) -> int:
        return informed(answers, {})

    def by_popularity(answers: dict[int, str], profile: dict[str, Any]) -> int:
        return next(int(code) for code in popular if code not in answers)

    def random(among: np.ndarray) -> Ask:
        def draw(answers: dict[int, str], profile: dict[str, Any]) -> int:
            while (code := int(rng.choice(among))) in answers:
                pass
            return code

        return draw

    return {
        "information": informed,
        "information, no profile": anyone,
        "popular": by_popularity,
        "random of candidates": random(prototypes.codes),
        "random": random(np.arange(FIRST, num_items)),
    }


def judge(world: World, *, held: int, seed: int, settings: dict[str, Any]) -> dict[str, dict[str, dict[int, np.ndarray]]]:
    """NDCG@10 of each held-out user: by way of asking, by what ranks, after how many answers."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(world.users))
    test, train = drawn[:held], np.sort(drawn[held:])
    known = histories(world, train)
    prototypes = Prototypes.of(
        known,
        world.num_items,
        like_from=LIKED_FROM,
        profiles=[world.profiles[row] for row in train],
        candidates=settings["candidates"],
        count=settings["count"],
        smoothing=settings["smoothing"],
        seed=seed,
    )
    everything = Prototypes(prototypes.codes, *_whole(prototypes, known, world.num_items, settings))
    weights = ease(known.where(known.values >= LIKED_FROM), world.num_items)
    counts = np.bincount(known.items[known.values >= LIKED_FROM], minlength=world.num_items)
    truth, replies = [], []
    for row in test:
        half = rng.random(len(world.users[row])) < ANSWERED
        liked = world.values[row] >= LIKED_FROM
        replies.append({int(i): LIKE if good else DISLIKE for i, good in zip(world.users[row][half], liked[half], strict=True)})
        truth.append(world.users[row][~half & liked])
    asked = [place for place, right in enumerate(truth) if len(right)]
    right = Histories.of([truth[place] for place in asked])
    found: dict[str, dict[str, dict[int, np.ndarray]]] = {}
    for name, ask in ways(prototypes, known, world.num_items, rng).items():
        lists: dict[tuple[str, int], list[np.ndarray]] = {}
        answered = 0
        for place in asked:
            profile = {} if name.endswith("no profile") else world.profiles[test[place]]
            answers: dict[int, str] = {}
            for step in range(max(STEPS) + 1):
                if step in STEPS:
                    belief = prototypes.belief(answers, profile)
                    likes = [code for code, answer in answers.items() if answer == LIKE]
                    by_taste = everything.log_rates[:, :, 0] @ belief
                    by_model = weights[likes].sum(axis=0) if likes else counts.astype(float)
                    for what, line in (("prototypes", by_taste), ("ease", by_model)):
                        line = np.array(line, float)
                        line[:FIRST] = -np.inf
                        line[likes] = -np.inf
                        lists.setdefault((what, step), []).append(np.argsort(-line, kind="stable")[:K])
                if step < max(STEPS):
                    code = ask(answers, profile)
                    answers[code] = replies[place].get(code, UNKNOWN_ITEM)
            answered += sum(answer != UNKNOWN_ITEM for answer in answers.values())
        found[name] = {"known": {max(STEPS): np.array([answered / len(asked)])}}
        for (what, step), rows in lists.items():
            hits, relevant = hits_of(np.array(rows), right)
            found[name].setdefault(what, {})[step] = ndcg(hits, relevant)
    return found


def _whole(prototypes: Prototypes, known: Histories, num_items: int, settings: dict[str, Any]) -> tuple[Any, ...]:
    """P(like | prototype) of all items, for ranking, by the prototypes of the users learned from."""
    shares = np.stack(
        [
            prototypes.belief(
                {int(c): LIKE if v >= LIKED_FROM else DISLIKE for c, v in zip(known.items[a:b], known.values[a:b], strict=True)}
            )
            for a, b in zip(known.offsets[:-1], known.offsets[1:], strict=True)
        ]
    )
    rows = np.repeat(np.arange(len(known)), known.lengths)
    liked = np.zeros((len(known), num_items))
    liked[rows, known.items] = known.values >= LIKED_FROM
    total = liked.mean(axis=0)
    smooth = settings["smoothing"]
    rates = (liked.T @ shares + smooth * total[:, None]) / (shares.sum(axis=0) + smooth)
    return prototypes.log_prior, np.stack([rates] * 3, axis=2), {}


def main() -> None:
    """Judges and prints; with --to also writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--users", type=int, default=200, help="held out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--smoothing", type=float, default=10.0)
    parser.add_argument("--to", type=Path)
    chosen = parser.parse_args()
    world = movielens(Path(os.environ["TASTEMAKER_BENCH_DATA"]) / "movielens-100k")
    settings = {"candidates": chosen.candidates, "count": chosen.count, "smoothing": chosen.smoothing}
    runs = [judge(world, held=chosen.users, seed=seed, settings=settings) for seed in chosen.seeds]
    report: dict[str, Any] = {"settings": settings, "seeds": chosen.seeds, "held_out": chosen.users, "ndcg@10": {}}
    for name in runs[0]:
        for what in runs[0][name]:
            if what == "known":
                continue
            for step in STEPS:
                values = np.concatenate([run[name][what][step] for run in runs])
                base = np.concatenate([run["information"][what][step] for run in runs])
                low, high = mean_interval(values, 0.95)
                cell = {"mean": float(values.mean()), "low": low, "high": high, "p": paired_t(values, base)}
                report["ndcg@10"].setdefault(what, {}).setdefault(name, {})[step] = cell
    for what, table in report["ndcg@10"].items():
        print(f"\nndcg@{K} by {what:24}" + "".join(f"{f'{step} answers':>20}" for step in STEPS))
        for name, cells in table.items():
            print(f"{name:32}" + "".join(f"{c['mean']:>9.4f} p {c['p']:<8.2g}" for c in cells.values()))
    known = {name: float(np.mean([run[name]["known"][max(STEPS)][0] for run in runs])) for name in runs[0]}
    report["known_of_10"] = known
    print("\nknown of 10 asked:", {name: round(value, 2) for name, value in known.items()})
    if chosen.to:
        chosen.to.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
