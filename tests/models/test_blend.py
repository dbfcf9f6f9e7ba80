from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query
from tastemaker.models.blend import KNOTS, Blend

from .conftest import ITEMS, USERS

QUERY = Query.of(np.array([3, 4, UNKNOWN, UNKNOWN]), Histories.of([[2, 4, 6], [3, 5], [2, 3, 9, 9], []]))


def blend(interactions: Interactions, *parts: dict[str, object]) -> Blend:
    model = Blend(Blend.Config.parse({"parts": parts}), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model.eval()


@torch.no_grad()
def test_scores_are_the_weighted_sum_of_what_the_parts_say_standardised_by_user(interactions: Interactions) -> None:
    parts = [
        {"model": "ease", "weight": 0.5, "settings": {"regularization": 3.0}},
        {"model": "item_knn", "weight": 2.0, "settings": {"neighbours": 3}},
    ]
    model = blend(interactions, *parts)
    expected = np.zeros((len(QUERY), ITEMS - FIRST))
    for weight, part in zip((0.5, 2.0), model.models, strict=True):
        for row, values in enumerate(part.score(QUERY).numpy()[:, FIRST:].astype(np.float64)):
            expected[row] += weight * (values - values.mean()) / values.std()
    np.testing.assert_allclose(model.score(QUERY).numpy()[:, FIRST:], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_scale_of_a_part_does_not_matter_and_one_that_scores_all_alike_says_nothing(interactions: Interactions) -> None:
    ease, both = blend(interactions, {"model": "ease"}), blend(interactions, {"model": "ease"}, {"model": "popularity"})
    one, other = both.models
    before = both.score(QUERY)
    other.counts *= 1000.0
    torch.testing.assert_close(both.score(QUERY)[:, FIRST:], before[:, FIRST:], rtol=1e-4, atol=1e-5)
    other.counts[:] = 7.0
    torch.testing.assert_close(both.score(QUERY)[:, FIRST:], ease.score(QUERY)[:, FIRST:])
    assert torch.equal(one.weights, ease.models[0].weights)


@torch.no_grad()
def test_other_weights_share_the_fitted_parts(interactions: Interactions) -> None:
    model = blend(interactions, {"model": "ease"}, {"model": "item_knn"})
    alone = model.weighted([1.0, 1e-9])
    assert all(one is other for one, other in zip(model.models, alone.models, strict=True))
    torch.testing.assert_close(alone.score(QUERY), blend(interactions, {"model": "ease"}).score(QUERY), rtol=1e-3, atol=1e-4)
    assert [part.weight for part in model.config.parts] == [1.0, 1.0]


def test_a_part_chooses_its_open_settings_as_if_it_stood_alone(interactions: Interactions) -> None:
    config = Blend.Config.parse({"parts": [{"model": "sasrec", "settings": {"dim": 8}}, {"model": "ease"}]})
    adapted = Blend.adapt(config, interactions)
    assert adapted.parts[0].settings.keys() == {"dim", "max_length", "dropout"}
    assert Blend.adapt(adapted, interactions) == adapted
    assert Blend.Config.parse(adapted.model_dump(mode="json")) == adapted


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"model": "eese"}, "'ease'"),
        ({"model": "ease", "settings": {"regularisation": 3}}, "'regularization'"),
        ({"model": "ease", "settings": {"regularization": -3}}, "regularization = -3"),
        ({"model": "ease", "weight": 0}, "greater than 0"),
        ({"model": "blend"}, "no blend itself"),
    ],
)
def test_a_mistake_in_a_part_is_named(part: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Blend.Config.parse({"parts": [part]}, "model")


def test_a_part_that_is_trained_by_gradients_cannot_be_solved(interactions: Interactions) -> None:
    with pytest.raises(ConfigError, match="tastemaker train"):
        blend(interactions, {"model": "sasrec", "settings": {"dim": 8}})


def gated(gate: str, weights: list[list[float]], interactions: Interactions) -> Blend:
    parts = [{"model": "ease"}, {"model": "popularity"}]
    model = Blend(Blend.Config.parse({"parts": parts, "weights": "learned", "gate": gate}), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    model.learned = torch.tensor(weights)
    return model.eval()


@torch.no_grad()
def test_learned_weights_score_as_the_same_weights_given(interactions: Interactions) -> None:
    given = blend(interactions, {"model": "ease", "weight": 0.25}, {"model": "popularity", "weight": 2.0})
    torch.testing.assert_close(gated("none", [[0.25, 2.0]], interactions).score(QUERY), given.score(QUERY))


@torch.no_grad()
def test_weights_not_learned_yet_count_as_one(interactions: Interactions) -> None:
    plain = blend(interactions, {"model": "ease"}, {"model": "popularity"})
    fresh = gated("length", [], interactions)
    fresh.learned = torch.empty(0, 0)
    assert torch.equal(fresh.score(QUERY), plain.score(QUERY))


@torch.no_grad()
def test_a_gate_has_the_weights_of_a_knot_there_and_goes_between_knots_with_the_log_of_the_length(
    interactions: Interactions,
) -> None:
    model = gated("length", [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]], interactions)
    rows = [[2] * length for length in (*KNOTS, 1, 31, 1000)]
    shares = model.knots(Query.of(np.full(len(rows), UNKNOWN), Histories.of(rows)))
    torch.testing.assert_close(shares[:5], torch.eye(5))
    torch.testing.assert_close(shares[5], torch.tensor([0.5, 0.5, 0.0, 0.0, 0.0]))  # log 2 is half of log 4
    torch.testing.assert_close(shares[6], torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0]))  # log 32 is between log 16 and log 64
    torch.testing.assert_close(shares[7], torch.eye(5)[4])
    nobody, three = (model.score(Query.of(np.array([UNKNOWN]), Histories.of([row])))[:, FIRST:] for row in ([], [2, 5, 2]))
    alone = [blend(interactions, {"model": name}) for name in ("ease", "popularity")]
    torch.testing.assert_close(nobody, alone[0].score(Query.of(np.array([UNKNOWN]), Histories.of([[]])))[:, FIRST:])
    torch.testing.assert_close(three, alone[1].score(Query.of(np.array([UNKNOWN]), Histories.of([[2, 5, 2]])))[:, FIRST:])


@torch.no_grad()
def test_unknown_items_are_no_history_to_a_gate(interactions: Interactions) -> None:
    model = gated("length", [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]], interactions)
    shares = model.knots(Query.of(np.full(2, UNKNOWN), Histories.of([[2, UNKNOWN, 3, UNKNOWN], [2, 3]])))
    assert torch.equal(shares[0], shares[1])


def test_learned_weights_are_part_of_the_saved_state(interactions: Interactions) -> None:
    model = gated("length", [[1.0, 0.5]] * 5, interactions)
    fresh = Blend(model.config, model.schema)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.learned, model.learned)
    assert "learned" not in blend(interactions, {"model": "ease"}).state_dict()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"weights": "learned", "parts": [{"model": "ease", "weight": 0.5}]}, "no weight of 'ease'"),
        ({"gate": "length"}, 'weights = "learned"'),
        ({"l2": 3.0}, 'weights = "learned"'),
        ({"weights": "learnt"}, "'learned'"),
    ],
)
def test_a_setting_of_weights_that_has_no_effect_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Blend.Config.parse(settings, "model")
