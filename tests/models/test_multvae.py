from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.multvae import MultVae

ROWS = [[2, 5, 8], [7, 3]]


def model(**settings: object) -> MultVae:
    torch.manual_seed(0)
    made = MultVae(
        MultVae.Config.parse({"hidden": 6, "latent": 4, "dropout": 0.0, "anneal_steps": 0, **settings}), FeatureSchema(6, 9)
    )
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_()
    return made.train()


def batch() -> Batch:
    query = Query.of(np.array([2, 3]), Histories.of(ROWS))
    return Batch(query, query.items, query.values, query.values, query.rows)


def posterior(made: MultVae, row: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance of one user, as the paper writes it."""
    vector = torch.zeros(9)
    vector[row] = len(row) ** -0.5
    hidden = torch.tanh(vector @ made.history.weight + made.history.bias)
    out = made.posterior.weight @ hidden + made.posterior.bias
    return out[:4], out[4:]


def test_a_step_minimises_the_negative_elbo_of_each_user() -> None:
    made = model(beta=0.3)
    torch.manual_seed(1)
    encoded = made.encode_batch(batch())
    logs = torch.log_softmax(encoded.users @ made.encode_item().T, dim=1)
    found = -logs[encoded.rows, batch().targets].mean() + encoded.penalty

    torch.manual_seed(1)
    noise = torch.randn(2, 4)
    expected = torch.zeros(())
    for row, draw in zip(ROWS, noise, strict=True):
        mean, log_variance = posterior(made, row)
        z = mean + draw * (log_variance / 2).exp()
        state = torch.tanh(made.decoder.weight @ z + made.decoder.bias)
        log = torch.log_softmax(made.output[:, :-1] @ state + made.output[:, -1], dim=0)
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        divergence = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
        expected = expected - log[row].sum() + 0.3 * divergence
    torch.testing.assert_close(found, expected / 5)


def test_the_divergence_is_annealed_by_steps_and_the_steps_are_saved() -> None:
    made = model(beta=0.5, anneal_steps=4)
    weights = []
    for _ in range(6):
        torch.manual_seed(1)
        weights.append(made.encode_batch(batch()).penalty.item())
    full = weights[-1]
    np.testing.assert_allclose(np.array(weights) / full, [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-5)
    other = model()
    other.load_state_dict(made.state_dict())
    assert int(other.step) == 6


def test_when_asked_there_is_no_chance_and_nothing_is_counted() -> None:
    made = model(dropout=0.5).eval()
    query = batch().query
    found = made.score(query)
    assert torch.equal(made.score(query), found)
    assert int(made.step) == 0
    mean, _ = posterior(made, ROWS[1])
    state = torch.tanh(made.decoder.weight @ mean + made.decoder.bias)
    torch.testing.assert_close(found[1], made.output[:, :-1] @ state + made.output[:, -1])


@pytest.mark.parametrize("beta", [0.0, 5.0])
def test_a_heavier_divergence_pulls_users_to_the_prior(beta: float) -> None:
    made = model(beta=beta)
    steps = torch.optim.Adam(made.parameters(), 0.02)
    for _ in range(150):
        steps.zero_grad()
        encoded = made.encode_batch(batch())
        logs = torch.log_softmax(encoded.users @ made.encode_item().T, dim=1)
        (encoded.penalty - logs[encoded.rows, batch().targets].mean()).backward()
        steps.step()
    means = torch.stack([posterior(made, row)[0] for row in ROWS]).abs().max()
    assert (means < 0.3) == (beta > 0)
