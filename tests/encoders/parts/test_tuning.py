from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.parts.tuning import Tuned, TuningSettings, _examples, _log_odds, _loss, _parted, tune
from tastemaker.errors import TrainingError


def interactions(rows: list[list[int]]) -> Interactions:
    """Codes that users 2, 3, … took."""
    items = np.array([code for row in rows for code in row], np.int32)
    return Interactions(
        user=np.repeat(np.arange(2, 2 + len(rows)), [len(row) for row in rows]).astype(np.int32),
        item=items,
        time=np.arange(len(items), dtype=np.int64),
        value=np.ones(len(items), np.float32),
        kind=np.zeros(len(items), np.int8),
        side=np.full(len(items), -1, np.int8),
    )


def settings(**values: Any) -> TuningSettings:
    return TuningSettings.parse(values)


class Table(nn.Module):
    """A free vector for each content."""

    def __init__(self, size: int, dim: int = 4) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(size, dim, generator=torch.Generator().manual_seed(0)))
        self.asked: list[np.ndarray] = []

    def encode(self, places: np.ndarray) -> Tensor:
        self.asked.append(places)
        return F.normalize(self.table[torch.from_numpy(places)], dim=1)

    def misled(self, places: np.ndarray) -> Tensor:
        """In training it takes some contents for others."""
        return self.encode(np.where(places < 6, 5 - places, places) if self.training else places)


def tastes(users: int = 80, length: int = 6) -> Interactions:
    """Users of two kinds go through the even or the odd ones of 12 contents."""
    rng = np.random.default_rng(0)
    return interactions([(2 + rng.permutation(6)[:length] * 2 + user % 2).tolist() for user in range(users)])


CONTENTS = np.concatenate([[-1, -1], np.arange(12)])


def tuned(train: Interactions, **values: Any) -> tuple[Table, Tuned]:
    module = Table(12)
    return module, tune(module, [module.table], module.encode, CONTENTS, train, settings(learning_rate=0.05, **values))


def test_an_example_is_what_comes_next_and_what_came_before() -> None:
    train = interactions([[2, 3, 1, 4, 5], [3], [6, 99, 6, 2]])
    contents = np.array([-1, -1, 10, 11, -1, 12, 10])
    found = _examples(contents, train, 2)
    targets, histories, lengths = found.part(np.arange(len(found.ends)))
    # codes 4, UNKNOWN and 99 have no content; 2 and 6 have the same
    assert targets.tolist() == [11, 12, 10, 10]
    assert np.split(histories, np.cumsum(lengths)[:-1])[1].tolist() == [10, 11]
    assert [part.tolist() for part in np.split(histories, np.cumsum(lengths)[:-1])] == [[10], [10, 11], [10], [10, 10]]


def test_users_held_out_are_not_learned_from() -> None:
    train = tastes(200)
    examples = _examples(CONTENTS, train, 3)
    learned, judged = _parted(examples, settings(held_out=0.2))
    user = np.repeat(np.arange(200), 5)
    assert len(judged) == 40 and (judged % 5 == 4).all()
    assert not set(user[learned]) & set(user[judged]) and len(set(user[learned])) == 160
    assert len(_parted(examples, settings(held_out=0))[1]) == 0
    assert len(_parted(examples, settings(held_out=0.01))[1]) == 0  # too few to say anything


def test_the_loss_is_the_softmax_over_distinct_targets_corrected_for_their_frequency() -> None:
    vectors = F.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    log_q = torch.tensor([-0.1, -0.2, -0.3, -0.4, -0.5])
    part = (np.array([0, 1, 0]), np.array([2, 1, 3, 0, 4]), np.array([2, 1, 2]))
    found = _loss(lambda places: vectors[torch.from_numpy(places)], part, log_q, settings(recency=0.5, temperature=0.1))
    histories = [(2, 1), (3,), (0, 4)]
    losses = []
    for target, history in zip(part[0], histories, strict=True):
        user = sum(0.5 ** (len(history) - 1 - place) * vectors[one] for place, one in enumerate(history))
        logits = {one: float(F.normalize(user, dim=0) @ vectors[one]) / 0.1 - float(log_q[one]) for one in (0, 1)}
        allowed = [one for one in (0, 1) if one == target or one not in history]
        losses.append(np.log(sum(np.exp(logits[one]) for one in allowed)) - logits[target])
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


def test_frequencies_are_those_of_being_in_a_step() -> None:
    examples = _examples(CONTENTS, interactions([[2, 3], [2, 3], [2, 3], [3, 4]]), 2)
    found = np.exp(_log_odds(examples, 2, 12))
    np.testing.assert_allclose(found[:3], [1 - 0.75**2, 1 - 0.25**2, 1 - 0.75**2], rtol=1e-6)


def test_what_the_same_users_take_gets_near() -> None:
    module, report = tuned(tastes())
    vectors = F.normalize(module.table.detach(), dim=1).numpy()
    likeness = vectors @ vectors.T
    same = np.arange(12)[:, None] % 2 == np.arange(12) % 2
    assert likeness[same].mean() > 0.5 > 0 > likeness[~same].mean()
    assert len(report.losses) == 0 and report.steps == 10 * 7 and report.trained == 48


def test_the_weights_that_did_best_are_kept_the_first_among_them() -> None:
    module, report = tuned(tastes(400))
    assert len(report.losses) == 6 and report.losses[report.best] == min(report.losses) < report.losses[0]

    good = module.table.detach().clone()
    report = tune(module, [module.table], module.misled, CONTENTS, tastes(400), settings(learning_rate=0.05))
    assert report.best == 0 and report.losses[1] > report.losses[0]
    assert torch.equal(module.table.detach(), good)


def test_each_content_is_encoded_once_a_step() -> None:
    module, _ = tuned(tastes(), epochs=1)
    assert all(len(np.unique(places)) == len(places) for places in module.asked)


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    one, other = tuned(tastes(), seed=1)[0], tuned(tastes(), seed=1)[0]
    assert torch.equal(one.table, other.table)
    assert not torch.equal(one.table, tuned(tastes(), seed=2)[0].table)


@pytest.mark.parametrize(
    ("bound", "steps"), [({"steps": 3}, 3), ({"epochs": 1}, 7), ({"minutes": 1e-9}, 1), ({"epochs": 0}, 0)]
)
def test_it_ends_at_the_first_bound(bound: dict[str, float], steps: int) -> None:
    told: list[tuple[int, int]] = []
    module = Table(12)
    report = tune(module, [module.table], module.encode, CONTENTS, tastes(), settings(**bound), lambda *done: told.append(done))
    assert report.steps == steps == len(told)
    assert not told or told[-1][0] == told[-1][1]


def test_nobody_or_nothing_leaves_it_as_it_was() -> None:
    for train, contents in ((interactions([]), CONTENTS), (interactions([[2]]), CONTENTS), (tastes(), np.full(14, -1))):
        module = Table(12)
        assert tune(module, [module.table], module.encode, contents, train, settings()).steps == 0
        assert torch.equal(module.table, Table(12).table)


def test_a_loss_that_is_no_number_is_said() -> None:
    module = Table(12)
    module.table.data[:] = torch.nan
    with pytest.raises(TrainingError, match="step 1"):
        tune(module, [module.table], module.encode, CONTENTS, tastes(), settings())
