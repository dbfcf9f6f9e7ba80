from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.dae import Dae
from tastemaker.train.softmax import full_softmax


def model(**settings: object) -> Dae:
    torch.manual_seed(0)
    made = Dae(Dae.Config.parse({"dim": 5, **settings}), FeatureSchema(6, 9))
    with torch.no_grad():
        made.history.bias.normal_()
        made.output.normal_()
    return made


def test_scores_are_the_two_layers_of_the_paper() -> None:
    made = model()
    rows = [[2, 5, 5, 8], [], [7]]
    table = torch.zeros(3, 9)
    table[0, [2, 5, 8]], table[2, 7] = 3**-0.5, 1.0
    hidden = torch.tanh(table @ made.history.weight + made.history.bias)
    expected = hidden @ made.output[:, :-1].T + made.output[:, -1]
    found = made.eval().score(Query.of(np.ones(3), Histories.of(rows)))
    torch.testing.assert_close(found, expected)


def test_a_step_minimises_the_multinomial_likelihood_of_the_history() -> None:
    made = model(dropout=0.0)
    rows = [[2, 5, 8], [7, 3]]
    query = Query.of(np.array([2, 3]), Histories.of(rows))
    encoded = made.train().encode_batch(Batch(query, query.items, query.values, query.values, query.rows))
    found = full_softmax(encoded.users, made.encode_item(), query.items, rows=encoded.rows)
    logs = torch.log_softmax(made.score(query), dim=1)
    expected = -(logs[0, rows[0]].sum() + logs[1, rows[1]].sum()) / 5
    torch.testing.assert_close(found, expected)
    assert encoded.penalty is None
