"""What all models that read reviews must keep: they learn from text, and never from the text of what they are asked to predict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import DataError
from tastemaker.experiment.fit import fit
from tastemaker.models.base import Batch, Model, Query
from tastemaker.resolve import model_class, model_names
from tastemaker.train.config import TrainConfig

from .reviewed import ITEMS, USERS, parrots, strings_and_cables

NAMES = [name for name in model_names() if model_class(name).needs_reviews]
SMALL = {"text_dim": 8, "word_dim": 8, "vocabulary": 40}
MADE = {
    "narre-cnn": ("narre", SMALL | {"reader": "cnn"}),
    "narre-bilstm": ("narre", SMALL | {"reader": "bilstm"}),
    "narre-frozen": ("narre", {"reader": "frozen", "text_dim": 8}),
    "narre-ids": ("narre", {"reader": "frozen", "text_dim": 8, "id_vectors": True}),
    "deepconn": ("deepconn", SMALL),
    "review_ridge": ("review_ridge", {"text_dim": 8}),
}
NETWORKS = [key for key, (name, _) in MADE.items() if model_class(name).learns_from]
every = pytest.mark.parametrize("key", MADE)
every_network = pytest.mark.parametrize("key", NETWORKS)


def made(key: str, schema: FeatureSchema) -> Model:
    name, settings = MADE[key]
    kind = model_class(name)
    torch.manual_seed(0)
    return kind(kind.Config.parse(settings), schema)


TRAIN = TrainConfig(epochs=12, batch_targets=64, learning_rate=0.01, threads=1, device="cpu")


def fitted(key: str, rows: Interactions, items: int = ITEMS) -> Model:
    model = made(key, FeatureSchema(USERS + 2, items + 2))
    list(fit(model, rows, TRAIN))
    return model


def losses(key: str, rows: Interactions) -> list[float]:
    """Of each epoch."""
    model = made(key, FeatureSchema(USERS + 2, ITEMS + 2))
    return [record.loss for record in fit(model, rows, TRAIN) if record.complete]


@torch.no_grad()
def predicted(model: Model, users, items) -> np.ndarray:
    query = Query.of(np.asarray(users), Histories.of([[]] * len(users)))
    return model.score_each(query, torch.as_tensor(np.asarray(items, np.int64))).numpy()


def rmse(found: np.ndarray, value: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - value) ** 2)))


def test_all_of_them_are_here() -> None:
    assert {name for name, _ in MADE.values()} == set(NAMES) == {"deepconn", "narre", "review_ridge"}


@every
def test_text_tells_what_few_ratings_do_not(key: str) -> None:
    rows, asked = strings_and_cables()
    found = rmse(predicted(fitted(key, rows, 240), asked.user, asked.item), asked.value)
    blind = rmse(predicted(fitted("review_ridge", replace_reviews(rows), 240), asked.user, asked.item), asked.value)
    assert found < 0.95 * blind


def replace_reviews(rows: Interactions) -> Interactions:
    """The same rows with nothing said in their reviews."""
    import pyarrow as pa

    return replace(rows, review=pa.array([""] * len(rows), pa.large_string()))


@pytest.mark.parametrize("key", [key for key in NETWORKS if key != "narre-ids"])
def test_reviews_that_say_their_own_rating_do_not_help_to_fit_random_ratings(key: str) -> None:
    """A model that reads what it predicts, or what gives it away, would have next to no loss."""
    spoken, babbled = (losses(key, parrots(honest=honest))[-1] for honest in (True, False))
    assert spoken > 0.9 * babbled


def test_a_ridge_takes_nothing_from_reviews_that_only_say_their_own_rating() -> None:
    rows, other = parrots(), parrots(1)
    found = rmse(predicted(fitted("review_ridge", rows), other.user, other.item), other.value)
    assert found < 1.05 * float(other.value.std())


@every_network
def test_what_a_user_wrote_of_an_item_does_not_move_what_is_predicted_for_the_two(key: str) -> None:
    rows = parrots()
    model = made(key, FeatureSchema(USERS + 2, ITEMS + 2))
    model.observe(rows)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    user, item = rows.user.astype(np.int64), rows.item.astype(np.int64)
    batch = Batch(
        Query.of(user, Histories.of([[]] * len(user))),
        torch.from_numpy(item),
        torch.from_numpy(rows.value),
        torch.ones(len(user)),
    )

    def asked() -> torch.Tensor:
        with torch.no_grad():
            encoded = model.encode_batch(batch)
        return (encoded.users * encoded.items).sum(1)

    model.eval()  # no dropout; what is left out in training is left out by `encode_batch` alone
    before, place = asked(), 17
    reader = model.reader
    if reader.frozen is not None:
        reader.frozen.vectors[place] += 3
    else:
        words = slice(*reader.documents.bounds[place : place + 2].tolist())
        reader.documents.words[words] = reader.documents.words[words].flip(0) % 7 + 1
    moved = (asked() - before).abs() > 1e-6
    assert not moved[place]
    sides = (user == user[place]) | (item == item[place])
    assert moved[sides].sum() > 1
    assert not moved[~sides].any()


@pytest.mark.parametrize("key", ["narre-frozen", "deepconn", "review_ridge"])
def test_a_stranger_has_the_bias_of_the_own_ratings_and_one_with_nothing_the_items(key: str) -> None:
    model = fitted(key, parrots())
    items, values = [5, 9, 20], [5.0, 5.0, 4.0]
    query = Query(
        torch.tensor([1, 1]),
        torch.tensor(items),
        torch.zeros(3, dtype=torch.int64),
        torch.tensor(values),
        torch.tensor([0, 3, 3]),
    )
    with torch.no_grad():
        known, nobody = model.score(query)
    biases = model.biases
    bias = sum(value - float(biases.mean + biases.item[item]) for item, value in zip(items, values, strict=True)) / (3 + 6)
    torch.testing.assert_close(known - nobody, torch.full_like(known, bias))


def test_attention_is_shared_out_among_the_reviews_of_a_document() -> None:
    model, rows = fitted("narre-cnn", parrots()), parrots()
    item = int(rows.item[0])
    said = model.speaking("item", item)
    assert sorted(said.partners.tolist()) == sorted(rows.user[rows.item == item].tolist())
    assert float(said.weights.sum()) == pytest.approx(1, abs=1e-5)
    assert len(said.weights.unique()) > 1
    assert model.speaking("user", 1).partners.tolist() == []


@pytest.mark.parametrize("name", NAMES)
def test_training_without_reviews_is_refused_with_a_hint(name: str) -> None:
    kind = model_class(name)
    model = kind(kind.Config(), FeatureSchema(USERS + 2, ITEMS + 2))
    with pytest.raises(DataError, match=r"interactions without reviews.*columns = "):
        list(fit(model, replace(parrots(), review=None), TrainConfig()))
