"""Rows: labels weighed by what was said or learned, and a killed run that goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tastemaker.data.features.encoded import Features
from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.rankers.shared_bottom import SharedBottom
from tastemaker.train import row_losses
from tastemaker.train.rows import RowBatch, RowLoader, RowTrainConfig, _StepLoss, train_rows
from tastemaker.train.task_weights import GradNorm, Uncertainty

CPU = torch.device("cpu")
SCHEMA = RowSchema((FieldSchema("a", "category", 9), FieldSchema("b", "category", 9)), ("click", "buy"))


def _ranker(schema: RowSchema = SCHEMA) -> SharedBottom:
    torch.manual_seed(3)
    return SharedBottom(SharedBottom.Config(dim=4, hidden=(8,), tower=(4,), dropout=0.2, init=0.5), schema)


def _data(rows: int = 640) -> tuple[Features, np.ndarray]:
    draw = np.random.default_rng(0)
    codes = draw.integers(2, 9, (rows, 2)).astype(np.int32)
    labels = (draw.random((rows, 2)) < 0.1 + 0.1 * (codes - 2)).astype(np.float32)
    return Features(codes, np.zeros((rows, 0), np.float32)), labels


def _batch(labels: np.ndarray | None = None) -> RowBatch:
    features, given = _data(64)
    return RowBatch(Rows.of(features), torch.from_numpy(given if labels is None else labels), None, None)


def _config(**settings: object) -> RowTrainConfig:
    given = {"epochs": 6, "batch_rows": 64, "learning_rate": 0.01, "device": "cpu", "precision": "float32", "loss": "bce"}
    return RowTrainConfig.parse(given | settings)


def _fit(stop_after: int | None = None, checkpoint: Path | None = None, **settings: object) -> SharedBottom:
    ranker, (features, labels) = _ranker(), _data()
    resume = settings.pop("resume", False)
    records = train_rows(ranker, RowLoader(features, labels), _config(**settings), checkpoint=checkpoint, resume=bool(resume))
    for record in records:
        if stop_after and record.complete and record.epoch == stop_after:
            break
    return ranker


def test_equal_weights_are_the_plain_sum_of_the_labels_losses() -> None:
    ranker, batch = _ranker().eval(), _batch()
    logits = ranker(batch.rows)
    each = [row_losses.bce(logits[:, place], batch.labels[:, place]) for place in range(2)]
    for config in (_config(), _config(task_weights=(1.0, 1.0))):
        torch.testing.assert_close(_StepLoss(ranker, config, CPU, classes=False)(batch), sum(each))
    weighed = _StepLoss(ranker, _config(task_weights=(2.0, 0.5)), CPU, classes=False)(batch)
    torch.testing.assert_close(weighed, 2 * each[0] + 0.5 * each[1])
    torch.testing.assert_close(Uncertainty((1.0, 1.0))(each), sum(each))  # before anything is learned
    balanced = GradNorm(2, ranker.tables(), 0.0)
    balanced.steps += 1  # a step between two at which weights move
    torch.testing.assert_close(balanced(each), sum(each))


def test_labels_that_are_not_known_cost_nothing() -> None:
    labels = _data(64)[1]
    labels[:, 1] = np.nan
    ranker, batch = _ranker().eval(), _batch(labels)
    wanted = row_losses.bce(ranker(batch.rows)[:, 0], batch.labels[:, 0])
    for weighting in (None, Uncertainty((1.0, 1.0)), GradNorm(2, ranker.tables(), 1.5)):
        torch.testing.assert_close(_StepLoss(ranker, _config(), CPU, weighting, classes=False)(batch), wanted)
    labels[:] = np.nan
    assert _StepLoss(ranker, _config(), CPU, classes=False)(_batch(labels)).item() == 0.0


def test_a_penalty_joins_the_loss() -> None:
    class Penalised(SharedBottom):
        def penalty(self) -> torch.Tensor:
            return torch.tensor(7.0)

    plain, batch = _ranker().eval(), _batch()
    other = Penalised(plain.config, SCHEMA).eval()
    other.load_state_dict(plain.state_dict())
    one, two = (_StepLoss(ranker, _config(), CPU, classes=False)(batch) for ranker in (plain, other))
    torch.testing.assert_close(two, one + 7.0)


@pytest.mark.parametrize("scale", [100.0, 0.01])
def test_uncertainty_balances_losses_of_very_different_scale(scale: float) -> None:
    weighting = Uncertainty((1.0, 1.0))
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.01)
    losses = [torch.tensor(0.5), torch.tensor(0.5 * scale)]
    for _ in range(600):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    weighed = weighting.weights() * torch.stack(losses)
    torch.testing.assert_close(weighed, torch.tensor([0.5, 0.5]), rtol=0.05, atol=0.0)  # 1 / 2 each, as the formula has it


def test_gradnorm_makes_labels_of_very_different_scale_pull_alike() -> None:
    ranker, batch = _ranker().eval(), _batch()
    weighting = GradNorm(2, ranker.tables(), alpha=0.0)

    def losses() -> list[torch.Tensor]:
        logits = ranker(batch.rows)
        each = [row_losses.bce(logits[:, place], batch.labels[:, place]) for place in range(2)]
        return [each[0], 100.0 * each[1]]

    for _ in range(1000):
        weighting(losses())
    pulls = torch.stack([weighting._pull(loss) for loss in losses()]) * weighting.weights()
    torch.testing.assert_close(pulls[0], pulls[1], rtol=1e-3, atol=0.0)
    torch.testing.assert_close(weighting.weights().sum(), torch.tensor(2.0))


def test_gradnorm_lets_a_label_that_lags_behind_pull_more() -> None:
    table = torch.nn.Parameter(torch.ones(3, 2))
    weighting = GradNorm(2, [table], alpha=1.0)
    weighting([table.sum(), table.sum()])
    weighting.every = 1
    for _ in range(300):
        weighting([table.sum(), 0.25 * table.sum() + 0.75 * table.sum().detach() - 4.5])  # a quarter of its first loss is left
    one, other = weighting.weights() * torch.tensor([1.0, 0.25])
    torch.testing.assert_close(one / other, torch.tensor(4.0), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty", "gradnorm"])
def test_a_killed_run_goes_on_bit_for_bit(weighting: str, tmp_path: Path) -> None:
    whole = _fit(task_weighting=weighting)
    _fit(stop_after=3, checkpoint=tmp_path / "run.safetensors", task_weighting=weighting)
    resumed = _fit(checkpoint=tmp_path / "run.safetensors", resume=True, task_weighting=weighting)
    state, other = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(state[key], other[key]) for key in state)
    assert list(state) == list(_ranker().state_dict())  # what is learned of weights stays in the loop


def test_learned_weights_change_what_is_learned() -> None:
    fixed, *others = (_fit(task_weighting=name).towers.towers[0][0].weight for name in ("fixed", "uncertainty", "gradnorm"))
    assert not any(torch.equal(fixed, other) for other in others)


def test_one_label_has_nothing_to_be_weighed_against() -> None:
    ranker, (features, labels) = _ranker(RowSchema(SCHEMA.fields, ("click",))), _data()
    with pytest.raises(ConfigError, match="several labels to weigh"):
        next(train_rows(ranker, RowLoader(features, labels[:, :1]), _config(task_weighting="uncertainty")))
    with pytest.raises(ConfigError, match="gradnorm finds them"):
        _config(task_weighting="gradnorm", task_weights=(1.0, 2.0))
    with pytest.raises(ConfigError, match="gradnorm_alpha is set"):
        _config(gradnorm_alpha=0.5)


def test_rankers_have_no_penalty_unless_they_say_so() -> None:
    assert Ranker.penalty(_ranker()) is None
