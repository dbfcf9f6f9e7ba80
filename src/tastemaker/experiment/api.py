"""The Python side of the command line: load, split, train, evaluate, save, open - a call each.

`tastemaker.train` and `tastemaker.evaluate` are packages, hence the names `train_model` and `evaluate_model`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.splits import Side, Split, SplitConfig
from tastemaker.data.splits import split as split_rows
from tastemaker.errors import ConfigError
from tastemaker.evaluate.report import Report
from tastemaker.experiment import fit, stacking
from tastemaker.experiment.config import EvaluateSection
from tastemaker.experiment.judge import Judge, recoded
from tastemaker.experiment.run import OnRecord
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.train.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Parts:
    """A dataset and which of its interactions train, choose and judge."""

    dataset: Dataset
    split: Split

    def __repr__(self) -> str:
        sides = ", ".join(
            f"{len(side):,} {name}"
            for name, side in (("train", self.train), ("validation", self.validation), ("test", self.test))
        )
        return f"Parts({self.split.kind}: {sides})"

    @property
    def train(self) -> Interactions:
        """What models learn from."""
        return self.split.train

    @property
    def validation(self) -> Interactions:
        """What settings are chosen by."""
        return self.split.validation

    @property
    def test(self) -> Interactions:
        """What judges."""
        return self.split.test


def split(data: Dataset, kind: str = "leave_last", **settings: Any) -> Parts:
    """Splits a dataset into train, validation and test; `settings` are those of `[split]`.

    Raises:
        ConfigError: an unknown kind or setting, or one that this kind does not use.
        DataError: the data cannot be split so.
    """
    return Parts(data, split_rows(data, SplitConfig.parse({"kind": kind, **settings}, "split")))


def train_model(model: str, data: Parts | Dataset, *, on_record: OnRecord | None = None, **settings: Any) -> Recommender:
    """Trains a model by name and returns it as a recommender that knows all of the data's histories.

    With `Parts` the model learns from their training side, and validation decides when to stop; with a whole `Dataset` it learns
    from all of it, for `epochs` epochs.

    Args:
        model: a name that `tastemaker models` lists.
        data: what to learn from.
        on_record: called with each training record.
        **settings: of `[model]` and `[train]` alike, by name: `dim=32, epochs=10`. `select="recall@20"` names the validation metric.

    Raises:
        ConfigError: an unknown model or setting (the nearest is named), or one without effect.
        DataError: there is nothing to learn from.
    """
    kind = model_class(model)
    select = settings.pop("select", None)
    of_model, of_train = _sorted_out(model, kind, settings)
    parts = data if isinstance(data, Parts) else None
    dataset = data.dataset if isinstance(data, Parts) else data
    learned = dataset.interactions if parts is None else parts.train
    config = TrainConfig.parse(of_train, "train")
    settings_of_model = fit.adapted(model, kind.Config.parse(of_model, "model"), learned, config.loss)
    built = fit.build(model, settings_of_model, dataset.schema, config.seed)
    chosen_by = EvaluateSection.parse({} if select is None else {"select": select}, "evaluate")
    judge = None if parts is None else Judge(dataset, parts.split, chosen_by, ratings=built.predicts_values(config.loss))
    stacking.check(built, judge is not None and judge.can_choose)
    validate = None
    if not fit.is_solved(built):
        config = fit.chosen(built, learned, config)
        if judge and judge.can_choose:
            validate = judge.chooser()
        elif "epochs" not in of_train:
            raise ConfigError(
                "no epochs", expected="epochs=…, as there is no validation side to stop by", hint="or pass tm.split(…)"
            )
    for record in fit.fit(built, learned, config, dataset=dataset, validate=validate):
        if on_record:
            on_record(record)
    if judge is not None:
        stacking.learn(built, judge)
    return Recommender.of(built.cpu(), dataset)


def evaluate_model(recommender: Recommender, parts: Parts, side: Side = "test", **settings: Any) -> Report:
    """Judges a recommender's model on a side; `settings` are those of `[evaluate]`, such as `ks=(5, 20)`.

    `metrics=("rmse", "mae")` judges predicted values instead of lists (`bfm`, or a model trained with `loss="squared_error"`).
    Asked users come with the history that may be known then, not with all that the recommender knows.

    Raises:
        ConfigError: an unknown setting.
        DataError: nobody is asked on that side.
    """
    dataset, rows = recoded(parts.dataset, parts.split, recommender.users, recommender.items)
    config = EvaluateSection.parse(settings, "evaluate")
    return Judge(dataset, rows, config, ratings=not config.ranking).report(recommender.model, side, rows.train)


def _sorted_out(name: str, kind: Any, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which settings are the model's and which say how it is trained."""
    own = set(kind.Config.model_fields)
    other = set() if fit.is_solved(kind) else set(TrainConfig.model_fields) - {"refit"}
    for key in settings:
        if key not in own | other:
            near = difflib.get_close_matches(key, own | other, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(own | other)) or 'none'}"
            raise ConfigError(f"{name} has no setting {key!r}", hint=hint)
    mine = {key: value for key, value in settings.items() if key in own}
    return mine, {key: value for key, value in settings.items() if key not in own}
