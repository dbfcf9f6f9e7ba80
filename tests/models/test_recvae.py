from __future__ import annotations

import math

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.recvae import RecVae

ROWS = [[2, 5, 8], [7, 3]]


def model(**settings: object) -> RecVae:
    torch.manual_seed(0)
    made = RecVae(
        RecVae.Config.parse(
            {"hidden": 6, "latent": 4, "layers": 3, "dropout": 0.0, "encoder_turn": 3, "decoder_turn": 2, **settings}
        ),
        FeatureSchema(6, 9),
    )
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_()
    return made.train()


def batch() -> Batch:
    query = Query.of(np.array([2, 3]), Histories.of(ROWS))
    return Batch(query, query.items, query.values, query.values, query.rows)


def log_normal(value: float, mean: float, log_variance: float) -> float:
    return -0.5 * (math.log(2 * math.pi) + log_variance + (value - mean) ** 2 / math.exp(log_variance))


def test_the_penalty_is_the_divergence_from_the_composite_prior_by_the_items_of_each_user() -> None:
    made = model(gamma=0.2)
    made.encode_batch(batch())  # takes the former encoder
    with torch.no_grad():
        for weight in made.encoder.parameters():
            weight += 0.1 * torch.randn_like(weight)
    torch.manual_seed(1)
    found = made.encode_batch(batch()).penalty.item()

    torch.manual_seed(1)
    noise = torch.randn(2, 4)
    with torch.no_grad():
        now, before = made.encoder(batch().query), made.former(batch().query)
    expected = 0.0
    for user, row in enumerate(ROWS):
        for d in range(4):
            mean, spread = float(now[0][user, d]), float(now[1][user, d])
            z = mean + float(noise[user, d]) * math.exp(spread / 2)
            prior = (
                3 / 20 * math.exp(log_normal(z, 0, 0))
                + 3 / 4 * math.exp(log_normal(z, float(before[0][user, d]), float(before[1][user, d])))
                + 1 / 10 * math.exp(log_normal(z, 0, 10))
            )
            expected += 0.2 * len(row) * (log_normal(z, mean, spread) - math.log(prior))
    assert abs(found - expected / 5) < 1e-4 * abs(expected)


def test_each_layer_of_the_encoder_reads_all_before_it() -> None:
    made = model().eval()
    encoder = made.encoder
    vector = torch.zeros(9)
    vector[ROWS[0]] = 3**-0.5

    def norm(place: int, x: torch.Tensor) -> torch.Tensor:
        return encoder.norms[place](x)

    swish = lambda x: x * torch.sigmoid(x)
    h1 = norm(0, swish(vector @ encoder.history.weight + encoder.history.bias))
    h2 = norm(1, swish(encoder.layers[0](h1) + h1))
    h3 = norm(2, swish(encoder.layers[1](h2) + h1 + h2))
    expected = encoder.posterior(h3)[:4]
    torch.testing.assert_close(made.encode_user(batch().query)[0, :-1], expected)


def test_encoder_and_decoder_take_turns_and_the_former_encoder_is_that_of_the_turns_begin() -> None:
    made = model()
    steps = torch.optim.Adam([weight for weight in made.parameters() if weight.requires_grad], 0.01)
    moved = []
    for _ in range(7):
        before = {name: value.clone() for name, value in made.state_dict().items()}
        encoded = made.encode_batch(batch())
        logs = torch.log_softmax(encoded.users @ made.encode_item().T, dim=1)
        loss = -logs[encoded.rows, batch().targets].mean()
        steps.zero_grad(set_to_none=True)
        (loss if encoded.penalty is None else loss + encoded.penalty).backward()
        steps.step()
        after = made.state_dict()
        parts = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} - {"step"}
        moved.append(parts)
        if "former" in parts:
            assert all(torch.equal(after[f"former.{name}"], before[f"encoder.{name}"]) for name in made.encoder.state_dict())
    first = moved[0] - {"former"}  # which begins equal to the encoder's first weights, but those were drawn anew here
    assert [first, *moved[1:]] == [
        {"encoder"},
        {"encoder"},
        {"encoder"},
        {"output"},
        {"output"},
        {"encoder", "former"},
        {"encoder"},
    ]


def test_a_turn_goes_on_where_a_saved_state_left_it() -> None:
    made, fresh = model(), model()
    for _ in range(4):
        made.encode_batch(batch())
    fresh.load_state_dict(made.state_dict())
    assert fresh.encode_batch(batch()).penalty is None
    assert fresh.encode_batch(batch()).penalty is not None
