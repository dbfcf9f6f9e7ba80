"""Rating models on the same random splits, paired: RMSE over seeds, and whether each is below the first beyond noise.

    python bench/rating_models.py CONFIG CONFIG… [--seeds 5] [--first-seed 0] [--side test] [--set train.threads=1] [--out FILE]

Seed s is `split.seed` and, where there is training by gradients, `train.seed`. For test a model is fitted on train + validation, for as
many epochs as were best on validation, as `train.refit` has it. Differences of squared errors are tested in two ways:
over seeds (paired t, few degrees of freedom), and over users (each user's sum over all seeds, paired t), since a user's ratings are no
independent draws and a rating may be asked for by several seeds. Settings are to be chosen with `--side validation`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from tastemaker.data.splits import split
from tastemaker.experiment import fit
from tastemaker.experiment.config import Config, read_config
from tastemaker.experiment.judge import Judge
from tastemaker.experiment.run import load_parts


def squared_errors(config: Config, dataset, side: str) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Of each rating asked about: whose it is, the squared error; and the epochs that were best on validation."""
    parts = split(dataset, config.split)
    config = replace(config, model=fit.adapted(config.model_name, config.model, parts.train, config.train.loss))
    model = fit.build(config.model_name, config.model, dataset.schema, config.train.seed)
    config = replace(config, train=fit.chosen(model, parts.train, config.train))
    judge, best = Judge(dataset, parts, config.evaluate, ratings=True), None
    if side == "validation" or not fit.is_solved(model):
        for record in fit.fit(model, parts.train, config.train, dataset=dataset, validate=judge.chooser()):
            best = record.best_epoch
    if side == "test":  # settings and epochs are chosen, so validation is learned from too
        model = fit.build(config.model_name, config.model, dataset.schema, config.train.seed)
        last = config.train.model_copy(update={"epochs": best or config.train.epochs})
        list(fit.fit(model, parts.refit, last, dataset=dataset))
    questions = judge.questions(side)
    owner = np.repeat(questions.users, questions.truth.lengths)
    return owner, (judge.predict(model, questions) - questions.truth.values) ** 2, best


def compared(found: list[tuple[np.ndarray, np.ndarray]], first: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Whether errors are below those of the first, by seeds and by users; differences are first minus these."""
    by_seed = [float(b.mean() - a.mean()) for (_, a), (_, b) in zip(found, first, strict=True)]
    owner = np.concatenate([users for users, _ in found])
    gain = np.concatenate([b - a for (_, a), (_, b) in zip(found, first, strict=True)])
    by_user = np.bincount(owner, gain)[np.unique(owner)]
    return {
        "mse_gain": float(gain.mean()),
        "p_seeds": float(stats.ttest_1samp(by_seed, 0).pvalue),
        "p_users": float(stats.ttest_1samp(by_user, 0).pvalue),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--side", choices=("validation", "test"), default="test")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows, all_found = [], []
    for path in options.configs:
        found, epochs, began, dataset = [], [], time.process_time(), None
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            config = read_config(path, [*options.set, f"split.seed={seed}"])
            config = replace(config, train=config.train.model_copy(update={"seed": seed}))
            dataset = dataset or load_parts(config)[0]
            owner, errors, best = squared_errors(config, dataset, options.side)
            found.append((owner, errors))
            epochs.append(best)
        per_seed = [float(np.sqrt(errors.mean())) for _, errors in found]
        row = {
            "config": path.name,
            "side": options.side,
            "first_seed": options.first_seed,
            "rmse": float(np.mean(per_seed)),
            "sd": float(np.std(per_seed, ddof=1)),
            "per_seed": [round(value, 5) for value in per_seed],
            "ratings": sum(len(errors) for _, errors in found),
            "epochs": epochs,
            "cpu_seconds": round(time.process_time() - began, 1),
        }
        if all_found:
            row |= compared(found, all_found[0])
        all_found.append(found)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if options.out:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
