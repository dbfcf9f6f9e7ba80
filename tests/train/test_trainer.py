"""The loop: the same seed gives the same weights, a killed run goes on as if nothing had happened, divergence is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ArtifactError, ConfigError, DataError, DivergenceError
from tastemaker.models.base import Encoded, PairModel, Query
from tastemaker.models.mf import MF
from tastemaker.models.sasrec import SASRec
from tastemaker.settings import Settings
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train

SCHEMA = FeatureSchema(num_users=22, num_items=14)


def _interactions(seed=0, ratings=False):
    draw = np.random.default_rng(seed)
    rows = 22 * 9
    user = np.repeat(np.arange(2, 22), 9)
    rows = len(user)
    value = draw.integers(1, 6, rows) if ratings else np.ones(rows)
    return Interactions(
        user.astype(np.int32),
        draw.integers(2, 14, rows).astype(np.int32),
        np.arange(rows, dtype=np.int64),
        value.astype(np.float32),
        np.zeros(rows, np.int8),
        np.full(rows, -1, np.int8),
    )


def _model(name):
    torch.manual_seed(3)
    if name == "sasrec":
        return SASRec(SASRec.Config(dim=8, blocks=1, max_length=6, dropout=0.3), SCHEMA)
    return MF(MF.Config(dim=6, dropout=0.2), SCHEMA)


SETTINGS = {
    "sasrec": {"loss": "cross_entropy"},
    "sasrec-gbce": {"loss": "gbce", "num_negatives": 5},
    "sasrec-bce": {"loss": "bce", "num_negatives": 2},
    "mf-bpr": {"loss": "bpr", "sampler": "popularity", "l2": 1e-4},
    "mf-hard": {"loss": "bpr", "num_negatives": 3, "hard": 4},
    "mf-shared": {"loss": "bpr", "num_negatives": 3, "hard": 4, "shared": True},
    "mf-softmax": {"loss": "softmax", "sampler": "mixed", "num_negatives": 16},
    "mf-in-batch": {"loss": "softmax", "sampler": "in_batch"},
    "mf-ccl": {"loss": "ccl", "num_negatives": 20, "ccl_margin": 0.2, "ccl_weight": 5.0},
    "mf-max": {"loss": "bpr_max", "num_negatives": 8, "shared": True, "bpr_max_penalty": 0.1},
    "mf-directau": {"loss": "directau", "uniformity": 0.5},
    "mf-adversarial": {"loss": "bpr", "adversarial": 0.5, "adversarial_weight": 2.0},
    "mf-ratings": {"loss": "squared_error", "optimizer": "adagrad", "l1": 1e-4},
    "mf-sgd": {"loss": "cross_entropy", "optimizer": "sgd", "clip": 1.0, "schedule": "cosine", "warmup": 5},
}
each_setting = pytest.mark.parametrize("case", SETTINGS)


def _fit(case, epochs=6, stop_after=None, **options):
    model = _model(case.split("-")[0])
    config = TrainConfig(epochs=epochs, batch_targets=32, learning_rate=0.01, seed=5, patience=50, **SETTINGS[case])
    records = []
    for record in train(model, _interactions(ratings="ratings" in case), config, **options):
        records.append(record)
        if stop_after and record.complete and record.epoch == stop_after:
            break  # what a kill leaves behind: the checkpoint of the last finished epoch
    return model, records


def _equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@each_setting
def test_the_same_seed_gives_the_same_weights_and_the_loss_falls(case):
    one, records = _fit(case)
    torch.rand(100)  # whoever draws in between must not matter
    two, _ = _fit(case)
    assert _equal(one, two)
    losses = [record.loss for record in records if record.complete]
    assert losses[-1] < losses[0]


@each_setting
def test_a_killed_and_resumed_run_ends_bit_equal(case, tmp_path):
    def metric(model):
        return float(model.item_embedding.weight.detach().abs().sum())

    whole, _ = _fit(case, validate=metric)
    file = tmp_path / "run" / "checkpoint.safetensors"
    _fit(case, stop_after=3, checkpoint=file, validate=metric)
    resumed, records = _fit(case, checkpoint=file, resume=True, validate=metric)
    assert _equal(whole, resumed)
    assert [record.epoch for record in records if record.complete] == [4, 5, 6]


@each_setting
def test_two_threads_give_the_same_weights_each_time(case, two_threads):
    # torch shares an operation among threads from 32,768 numbers on; few items, so that many rows meet in one gradient
    users, batch = (200, 5000) if case.startswith("sasrec") else (900, 34_000)
    if case in ("mf-in-batch", "mf-directau"):
        users, batch = 50, 1000  # whose scores grow with the square
    each, schema = 40, FeatureSchema(users + 2, num_items=42)
    draw, rows = np.random.default_rng(0), users * each
    data = Interactions(
        np.repeat(np.arange(2, 2 + users), each).astype(np.int32),
        draw.integers(2, 42, rows).astype(np.int32),
        np.arange(rows, dtype=np.int64),
        draw.integers(1, 6, rows).astype(np.float32),
        np.zeros(rows, np.int8),
        np.full(rows, -1, np.int8),
    )
    config = TrainConfig(epochs=1, batch_targets=batch, learning_rate=0.01, seed=5, **SETTINGS[case])
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        if case.startswith("sasrec"):
            models.append(SASRec(SASRec.Config(dim=8, blocks=1, max_length=40, dropout=0.3), schema))
        else:
            models.append(MF(MF.Config(dim=6, dropout=0.2), schema))
        list(train(models[-1], data, config))
    assert _equal(*models)


def test_another_seed_gives_other_weights():
    config = TrainConfig(epochs=1, batch_targets=32, seed=6)
    other = _model("sasrec")
    list(train(other, _interactions(), config))
    assert not _equal(_fit("sasrec", epochs=1)[0], other)


def test_the_best_weights_are_kept_and_patience_ends_the_run():
    metrics = iter([0.1, 0.5, 0.3, 0.2, 0.1, 0.0])
    kept = {}

    def validate(model):
        value = next(metrics)
        kept[value] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return value

    model = _model("mf")
    records = [
        r
        for r in train(model, _interactions(), TrainConfig(epochs=20, patience=3, loss="bpr"), validate=validate)
        if r.complete
    ]
    assert len(records) == 5
    assert records[-1].best_epoch == 2
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in kept[0.5].items())


def test_divergence_is_an_error_that_says_what_to_change():
    config = TrainConfig(epochs=30, loss="squared_error", optimizer="sgd", learning_rate=1e6)
    with pytest.raises(DivergenceError, match=r"train\.learning_rate"):
        list(train(_model("mf"), _interactions(ratings=True), config))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    file = tmp_path / "c.safetensors"
    _fit("sasrec", epochs=1, checkpoint=file)
    config = TrainConfig(epochs=2, batch_targets=32, seed=6)
    with pytest.raises(ArtifactError, match="another run"):
        list(train(_model("sasrec"), _interactions(), config, checkpoint=file, resume=True))


def test_a_damaged_checkpoint_is_refused(tmp_path):
    file = tmp_path / "c.safetensors"
    _fit("sasrec", epochs=1, checkpoint=file)
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(ArtifactError, match="cannot read"):
        _fit("sasrec", checkpoint=file, resume=True)


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(DataError, match="no training examples"):
        list(train(_model("sasrec"), _interactions().take(slice(0, 0)), TrainConfig()))


def test_names_and_pointless_settings_are_refused():
    with pytest.raises(ConfigError, match="bpr"):
        TrainConfig.parse({"loss": "bprr"}, "train")
    with pytest.raises(ConfigError, match="draws no negatives"):
        TrainConfig.parse({"loss": "cross_entropy", "sampler": "uniform"}, "train")
    with pytest.raises(ConfigError, match="hard to be 1"):
        TrainConfig.parse({"hard": 4, "loss": "bpr", "sampler": "in_batch"}, "train")
    for pointless in ({"hard": 4}, {"shared": True}, {"hard": 4, "loss": "softmax"}, {"shared": True, "loss": "cross_entropy"}):
        with pytest.raises(ConfigError, match="loss to be bpr"):
            TrainConfig.parse(pointless, "train")
    with pytest.raises(ConfigError, match="loss to be ccl where ccl_margin"):
        TrainConfig.parse({"ccl_margin": 0.1, "loss": "bpr"}, "train")
    with pytest.raises(ConfigError, match="sampled negatives where adversarial"):
        TrainConfig.parse({"adversarial": 0.1, "loss": "cross_entropy"}, "train")
    with pytest.raises(ConfigError, match="learning_rate"):
        TrainConfig.parse({"learning_rat": 1}, "train")


def test_kind_weights_count_in_the_loss():
    data = _interactions()
    weighted = Interactions(
        data.user, data.item, data.time, data.value, (data.item == 5).astype(np.int8), data.side, ("view", "buy"), (0.01, 10.0)
    )
    models = []
    for rows in (data, weighted):
        model = MF(MF.Config(dim=4), SCHEMA)
        list(train(model, rows, TrainConfig(epochs=30, loss="cross_entropy", learning_rate=0.05, seed=1)))
        models.append(model)
    plain, heavy = (model.item_bias.detach() for model in models)
    assert int(heavy[2:].argmax()) + 2 == 5
    assert float(heavy[5] - heavy[2:].mean()) > float(plain[5] - plain[2:].mean()) + 0.5


class _Scorer(PairModel):
    """The least there can be: a number for each pair of a user and an item."""

    class Config(Settings):
        """No settings."""

    def __init__(self, config, schema):
        super().__init__(config, schema)
        self.cells = torch.nn.Parameter(torch.zeros(schema.num_users, schema.num_items))

    def score_each(self, query, items):
        return self.cells[query.users].gather(1, items)


@pytest.mark.parametrize(
    "options", [{"loss": "bce"}, {"loss": "softmax", "num_negatives": 12}, {"loss": "bpr", "hard": 2, "shared": True}]
)
def test_a_model_of_pairs_learns_which_items_are_whose(options):
    data, model = _interactions(), _Scorer(_Scorer.Config(), SCHEMA)
    list(train(model, data, TrainConfig(epochs=60, batch_targets=64, learning_rate=0.05, **options)))
    users = torch.arange(2, 22)
    found = model.score(Query.of(users.numpy(), Histories.of([[]] * 20))).detach()
    chosen = torch.zeros(22, 14, dtype=torch.bool)
    chosen[torch.from_numpy(data.user).long(), torch.from_numpy(data.item).long()] = True
    real = torch.zeros(14, dtype=torch.bool)
    real[2:] = True
    assert float(found[chosen[2:]].mean()) > float(found[~chosen[2:] & real].mean()) + 1
    some = torch.tensor([5, 3])
    assert torch.equal(model.score(Query.of(users.numpy(), Histories.of([[]] * 20)), some), found[:, some])


def test_a_model_of_pairs_learns_values_and_refuses_what_needs_vectors():
    model = _Scorer(_Scorer.Config(), SCHEMA)
    data = _interactions(ratings=True)
    records = list(train(model, data, TrainConfig(epochs=60, batch_targets=64, learning_rate=0.1, loss="squared_error")))
    assert records[-1].loss < 3
    for options in ({"loss": "cross_entropy"}, {"loss": "bce", "l2": 0.1}, {"loss": "bpr", "adversarial": 0.1}):
        with pytest.raises(ConfigError, match="has no vectors"):
            list(train(model, data, TrainConfig(**options)))


class _Masked(MF):
    """Asks for every other target only, from one vector a user, and adds a penalty."""

    learns_from = "baskets"

    def encode_batch(self, batch):
        asked = torch.arange(0, len(batch.targets), 2)
        assert torch.equal(batch.targets, batch.query.items)
        return Encoded(self.encode_user(batch.query), batch.rows[asked], asked, penalty=torch.tensor(100.0))


@pytest.mark.parametrize("loss", ["cross_entropy", "bpr", "squared_error", "softmax"])
def test_a_model_chooses_which_targets_are_asked_for_and_adds_its_own_penalty(loss):
    torch.manual_seed(0)
    model = _Masked(_Masked.Config(dim=6), SCHEMA)
    records = list(train(model, _interactions(ratings=True), TrainConfig(epochs=2, batch_targets=32, loss=loss)))
    assert 100 < records[-1].loss < 130
