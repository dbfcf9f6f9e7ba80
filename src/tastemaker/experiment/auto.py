"""Auto: from data alone to the model, or the blend of models, that does best on validation, under a time budget.

1. Simple models are tried on the grids they have as baselines.
2. Models trained by gradients begin with their defaults; after a quarter and a half of their epochs the better half goes on
   (successive halving: Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization"). A model whose epochs do
   not fit into what is left is trained for fewer, or not at all.
3. In rounds, the leading models are tried with settings drawn around their best, until rounds bring nothing or the time is up.
4. The best of each model are blended, under weights that are tried or learned, with or without a gate, if that does better.

Then the winner is judged on the test side, which nothing has looked at before, and saved: the run is one like any other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tastemaker.data.load import ImportReport
from tastemaker.data.splits import SplitConfig, split
from tastemaker.errors import ConfigError, DataError
from tastemaker.experiment.blending import Blended
from tastemaker.experiment.candidates import CANDIDATES, Candidate
from tastemaker.experiment.config import Config
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import RunResult, plain
from tastemaker.experiment.run import Prepared, load_parts, train_run
from tastemaker.experiment.search import Search, Tell
from tastemaker.experiment.trial import Material, Trial
from tastemaker.log import logger
from tastemaker.settings import expand, override, read_toml
from tastemaker.train.config import TrainConfig

SHARED = ("seed", "threads", "device", "precision", "refit")
"""What `[train]` may say where no model is named: it holds for all."""


def read_auto(source: str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], Path]:
    """The tree of a config without a model, or one made for a source of events, and the folder its paths start from.

    Raises:
        ConfigError: the config names a model, searches settings, or says of training what does not hold for all models.
    """
    is_config = source.endswith(".toml")
    tree = override(read_toml(source) if is_config else {"data": {"events": source}}, overrides)
    tree = {name: expand(dict(values)) if isinstance(values, Mapping) else values for name, values in tree.items()}
    for name in ("model", "tune"):
        if name in tree:
            raise ConfigError(
                f"[{name}] beside --auto", expected="no model, as it is chosen", hint=f"remove [{name}], or --auto"
            )
    idle = next((key for key in tree.get("train", {}) if key not in SHARED), None)
    if idle:
        raise ConfigError(f"train.{idle} beside --auto", expected=f"only {', '.join(SHARED)}, which hold for every model")
    return tree, Path(source).resolve().parent if is_config else Path.cwd()


def train_auto(
    tree: Mapping[str, Any],
    base: Path | str = ".",
    *,
    minutes: float,
    out: Path | str | None = None,
    tell: Tell = lambda share, state, line: None,
    candidates: Sequence[Candidate] = CANDIDATES,
    ledger: Ledger | None = None,
) -> RunResult:
    """Finds a model for the data of a config, as the module says, and returns its run; `report["search"]` tells what was tried.

    Args:
        tree: the sections of a config without `[model]`. Where `[split]` is missing too, a split by time is taken if there are times and it has
            somebody to ask, else one that leaves out the last.
        base: the folder that relative paths start from.
        minutes: for all of it, about; less is taken where nothing better is found.
        out: the run's folder, new or empty; default: a fresh one.
        tell: told how it goes. Ctrl-C ends the search, and what is best until then is taken.
        candidates: the models to try.
        ledger: where the run is entered.

    Raises:
        ConfigError: values are to be predicted rather than lists, or what `read_config` raises.
        DataError: there is nobody to choose by.
        TrainingError: no model could be trained.
    """
    began = time.monotonic()
    config = Config.parse({**tree, "model": {"name": "popularity"}, "train": _kept(tree.get("train", {}), ("refit",))}, base)
    if not config.evaluate.ranking:
        raise ConfigError(
            f"evaluate.metrics = {list(config.evaluate.metrics)}",
            expected="metrics of lists",
            hint='train mf with train.loss = "squared_error" to predict values',
        )
    config, material, imported = _opened(config, asked="split" in tree)
    train = TrainConfig.parse({"refit": config.train.refit} | _kept(tree.get("train", {}), SHARED), "train")
    search = Search(config, material, train, began, 60 * minutes, tell, candidates)
    search.run()
    winner, why = search.winner()
    return _finished(search, winner, why, imported, out, ledger, began, minutes)


def _finished(
    search: Search,
    winner: Trial | Blended,
    why: str,
    imported: ImportReport,
    out: Path | str | None,
    ledger: Ledger | None,
    began: float,
    minutes: float,
) -> RunResult:
    """The run of the winner."""
    material, config = search.material, search.config
    if isinstance(winner, Blended):
        config = replace(config, model_name="blend", model=winner.model.config)
        epochs, seconds = None, sum(trial.seconds for trial in winner.trials)
    else:
        train = TrainConfig.parse({"refit": search.train.refit}, "train") if winner.solved else winner.config.train
        config = replace(config, model_name=winner.config.model_name, model=winner.config.model, train=train)
        epochs, seconds = winner.best_epoch, winner.seconds
    notes = [
        f"{trial.config.model_name} was trained for {trial.epochs} of {trial.config.train.epochs} epochs for want of time; config.toml trains all of them"
        for trial in (winner.trials if isinstance(winner, Blended) else [winner])
        if trial.cut
    ]
    told = {
        "search": plain(
            {
                "data": search.look.to_dict(),
                "metric": material.judge.metric,
                "tried": [one.to_dict() for one in search.account()],
                "why": why,
                "minutes": minutes,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    }
    tell_judging = f"{config.model_name} is judged on the test side and saved"
    search.tell(search.share(), tell_judging, "")
    prepared = Prepared(material.dataset, material.split, imported, winner.model, epochs, seconds, search.rivals(), told, notes)
    return train_run(config, out, prepared=prepared, ledger=ledger)


def _opened(config: Config, *, asked: bool) -> tuple[Config, Material, ImportReport]:
    """The data, split as asked, else in the first way that leaves somebody to ask on both sides."""
    if asked:
        dataset, parts, imported = load_parts(config)
        return config, Material.of(config, dataset, parts), imported
    dataset, _, imported = load_parts(replace(config, split=SplitConfig.parse({"kind": "leave_last"}, "split")))
    kinds = ["by_time"] if dataset.interactions.has_times else []
    for kind in [*kinds, "leave_last", "by_share"]:
        settled = replace(config, split=SplitConfig.parse({"kind": kind}, "split"))
        try:
            material = Material.of(settled, dataset, split(dataset, settled.split))
        except DataError:
            continue
        if (material.judge.questions("test").histories.lengths > 0).any():
            logger.info("split: %s", kind)
            return settled, material, imported
    raise DataError("too few events to choose a model by", expected="users with three events or more")


def _kept(section: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: section[key] for key in keys if key in section}
