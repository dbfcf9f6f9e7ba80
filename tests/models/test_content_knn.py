from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.item_contents import FusionSettings, ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import DataError
from tastemaker.models.base import Query
from tastemaker.models.content_knn import ContentKnn

from .conftest import ITEMS, USERS

GENRES = [["war", "drama"], ["war", "history"], ["love", "drama"], ["love"], ["space"]]
CATALOGUE = pa.table(
    {
        "genres": GENRES * 3,
        "plot": [f"a tale of {' and '.join(genres)} told by number {place}" for place, genres in enumerate(GENRES * 3)],
        "year": [1950 + 10 * (place // 5) for place in range(15)],
    }
)


def model(interactions: Interactions, catalogue: pa.Table = CATALOGUE, **settings: object) -> ContentKnn:
    made = ContentKnn(ContentKnn.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    made.observe_catalogue(catalogue)
    made.solve(interactions)
    return made


def asked(*rows: list[int]) -> Query:
    return Query.of(np.full(len(rows), UNKNOWN), Histories.of(list(rows)))


def test_scores_are_sums_of_cosines_of_tfidf_vectors_to_the_power(interactions: Interactions) -> None:
    """By hand: a genre that t of the 15 items have weighs log(15.5 / t), as a word and as a value alike."""
    weight = {name: np.log(15.5 / sum(name in genres for genres in GENRES * 3)) for genres in GENRES for name in genres}
    names = sorted(weight)
    rows = np.array([[weight[name] * (name in genres) for name in names] for genres in GENRES * 3])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    like = (rows @ rows.T) ** 3
    np.fill_diagonal(like, 0)
    found = model(interactions, columns=("genres",), sharpness=3.0).score(asked([FIRST, FIRST + 7]))[0, FIRST:].numpy()
    expected = like[:, 0] + like[:, 7]
    spoken_for = expected > 0
    assert 3 < spoken_for.sum() < 15
    np.testing.assert_allclose(found[spoken_for], expected[spoken_for], rtol=1e-4)
    assert (found[~spoken_for] < 0).all()


def test_an_item_without_an_event_is_found_by_what_it_is(interactions: Interactions) -> None:
    fresh = next(code for code in range(FIRST, ITEMS) if code not in interactions.item)
    twin = FIRST + (fresh - FIRST + 5) % 15
    scores = model(interactions, columns=("genres",)).score(asked([twin]))[0]
    scores[[0, 1, twin]] = -torch.inf
    assert float(scores[fresh]) == pytest.approx(float(scores.max()))
    assert float(scores[fresh]) > 0


def test_what_nothing_in_the_history_is_like_follows_by_popularity(interactions: Interactions) -> None:
    made = model(interactions, columns=("genres",))
    nothing, space = made.score(asked([], [FIRST + 4]))
    assert torch.equal(nothing, -1 / (1 + made.popularity))
    others = [code for code in range(FIRST, ITEMS) if (code - FIRST) % 5 != 4]
    torch.testing.assert_close(space[others], nothing[others])


def test_only_the_columns_asked_for_are_compared(interactions: Interactions) -> None:
    by_year, by_genre = (model(interactions, columns=(name,)).score(asked([FIRST + 1]))[0] for name in ("year", "genres"))
    assert float(by_year[FIRST + 2]) > 0 > float(by_year[FIRST + 6])
    assert float(by_genre[FIRST + 6]) > 0 > float(by_genre[FIRST + 2])


@pytest.mark.parametrize(
    ("catalogue", "columns", "named"),
    [
        (pa.table({}), (), "items without properties.*items = "),
        (CATALOGUE, ("genre",), "no column 'genre'.*'genres'"),
        (CATALOGUE, ("colour",), "it has genres, plot, year"),
    ],
)
def test_a_catalogue_that_lacks_what_is_to_be_compared_is_refused(
    interactions: Interactions, catalogue: pa.Table, columns: tuple[str, ...], named: str
) -> None:
    with pytest.raises(DataError, match=named):
        model(interactions, catalogue, columns=columns)


def told(**present: np.ndarray) -> ItemContents:
    """Two modalities of 15 items: the first tells the genre, the second a third of the catalogue."""
    rng = np.random.default_rng(0)
    kinds = np.eye(5, dtype=np.float32)[np.arange(15) % 5] + 0.01 * rng.normal(size=(15, 5)).astype(np.float32)
    parts = np.eye(3, dtype=np.float32)[np.arange(15) // 5]
    values = {"genre": np.pad(kinds, ((FIRST, 0), (0, 0))), "third": np.pad(parts, ((FIRST, 0), (0, 0)))}
    real = np.arange(FIRST + 15) >= FIRST
    return ItemContents(values, {"genre": real, "third": real} | present, FusionSettings.parse({}))


def by_contents(contents: ItemContents, interactions: Interactions, **settings: object) -> ContentKnn:
    made = ContentKnn(ContentKnn.Config.parse(settings), FeatureSchema(USERS, ITEMS, contents.schema))
    made.observe_catalogue(pa.table({}))
    made.observe_contents(contents, interactions)
    made.solve(interactions)
    return made


def test_with_contents_the_cosines_are_those_of_their_vectors(interactions: Interactions) -> None:
    contents = told()
    found = by_contents(contents, interactions, sharpness=1.0).score(asked([FIRST]))[0, FIRST:].numpy()
    expected = np.zeros(15)
    for values in contents.values.values():
        rows = values[FIRST:] - values[FIRST:].mean(axis=0)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        expected += rows @ rows[0] / 2
    expected[0] = 0
    alike = expected > 0
    assert 2 < alike.sum() < 15
    np.testing.assert_allclose(found[alike], expected[alike], rtol=1e-4)
    assert (found[~alike] < 0).all()


def test_a_modality_that_one_of_two_lacks_says_nothing_of_them(interactions: Interactions) -> None:
    real = np.arange(FIRST + 15) >= FIRST
    lacking = by_contents(told(third=real & (np.arange(FIRST + 15) != FIRST)), interactions, sharpness=1.0)
    found = lacking.score(asked([FIRST]))[0, FIRST:]
    assert found[[5, 10]].min() > 0.9  # of the same genre, whatever third they stand in
    few = by_contents(told(), interactions, neighbours=2)
    assert np.diff(few.similar.csr.indptr)[FIRST:].tolist() == [2] * 15
