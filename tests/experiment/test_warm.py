from dataclasses import replace

import pytest
import torch

import tastemaker as tm
from tastemaker.data.dataset import Dataset
from tastemaker.data.synthetic import chain
from tastemaker.experiment import fit, warm
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.train.config import TrainConfig

SIZES = {
    "mf": {"dim": 8},
    "sasrec": {"dim": 8, "blocks": 1, "max_length": 10},
    "lightgcn": {"dim": 8, "item_bias": True},
    "dae": {"dim": 8},
}


def dataset(people, things):
    """Those users going round the things, in that order of names."""
    rows = [(u, things[(place + u) % len(things)], u * 100 + place) for u in people for place in range(6)]
    users, items, times = zip(*rows, strict=True)
    return tm.load({"user_id": [f"u{u:03}" for u in users], "item_id": list(items), "time": [1_700_000_000 + t for t in times]})


def built(name: str, data: Dataset, seed: int = 0, **settings):
    return fit.build(name, model_class(name).Config.parse(SIZES[name] | settings), data.schema, seed)


@pytest.mark.parametrize("name", ["mf", "sasrec"])
def test_rows_begin_where_the_earlier_version_ended_by_id(name):
    before, now = dataset(range(10, 40), list("bdfhjl")), dataset(range(30), list("abcdefghijkl"))
    earlier = Recommender.of(built(name, before, seed=1), before)
    model, fresh = built(name, now, seed=2), built(name, now, seed=2)
    note = warm.warm(model, now, earlier)
    items = model.item_embedding.weight
    for item in "abcdefghijkl":
        (code,) = now.items.encode([item])
        if item in "bdfhjl":
            (old,) = before.items.encode([item])
            assert torch.equal(items[code], earlier.model.item_embedding.weight[old])
        else:
            assert torch.equal(items[code], fresh.item_embedding.weight[code])
    assert "6 items in common" in note
    if name == "mf":
        codes, olds = now.users.encode(["u012", "u005"]), before.users.encode(["u012"])
        assert torch.equal(model.user_embedding.weight[codes[0]], earlier.model.user_embedding.weight[olds[0]])
        assert torch.equal(model.user_embedding.weight[codes[1]], fresh.user_embedding.weight[codes[1]])
        assert "20 users" in note
    else:
        assert torch.equal(model.reader.start, earlier.model.reader.start)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        (
            "lightgcn",
            {"walker.user_embedding.weight": "user", "walker.item_embedding.weight": "item", "matching.item_bias": "item"},
        ),
        ("dae", {"history.weight": "item", "output": "item"}),
    ],
)
def test_rows_of_ids_inside_a_part_are_matched_by_id_too(name, tables):
    before, now = dataset(range(10, 40), list("bdfhjl")), dataset(range(30), list("abcdefghijkl"))
    earlier, model = built(name, before, seed=1), built(name, now, seed=2)
    if name == "lightgcn":
        torch.nn.init.normal_(earlier.matching.item_bias)
    warm.warm(model, now, Recommender.of(earlier, before))
    for table, of in tables.items():
        ids = [f"u{user:03}" for user in range(10, 30)] if of == "user" else list("bdfhjl")
        codes, olds = (getattr(data, f"{of}s").encode(ids).tolist() for data in (now, before))
        assert torch.equal(model.get_parameter(table)[codes], earlier.get_parameter(table)[olds]), table


def test_a_longer_history_keeps_the_positions_of_a_shorter_one():
    data = dataset(range(20), list("abcd"))
    earlier = Recommender.of(built("sasrec", data, 1, max_length=5), data)
    model = built("sasrec", data, 2, max_length=9)
    rest = model.reader.position_embedding.weight[6:].clone()
    warm.warm(model, data, earlier)
    assert torch.equal(model.reader.position_embedding.weight[:6], earlier.model.reader.position_embedding.weight)
    assert torch.equal(model.reader.position_embedding.weight[6:], rest)


def test_what_cannot_be_taken_is_said_and_nothing_is_changed():
    data = dataset(range(20), list("abcd"))
    model = built("mf", data, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert "is a SASRec" in warm.warm(model, data, Recommender.of(built("sasrec", data), data))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_random_split_or_a_solved_model_begins_afresh(tmp_path):
    data = dataset(range(20), list("abcd"))
    assert "may have learned from the test side" in warm.start_from(built("mf", data), data, tmp_path, "by_share")
    solved = fit.build("popularity", model_class("popularity").Config.parse({}), data.schema)
    assert "solved in one step" in warm.start_from(solved, data, tmp_path, "leave_last")


def test_a_warm_start_needs_fewer_epochs():
    """The chain, learned; then new users come: from the earlier weights one epoch does what takes several from the first ones."""
    now = chain(90, 20, 8, generator=0).dataset
    earlier_data = replace(now, interactions=now.interactions.take(now.interactions.user < 60))
    config = TrainConfig.parse({"epochs": 12, "learning_rate": 0.01, "schedule": "constant", "warmup": 0, "batch_targets": 64})

    def losses(model, data):
        return [record.loss for record in fit.fit(model, data.interactions, config) if record.complete]

    earlier = built("sasrec", earlier_data)
    losses(earlier, earlier_data)
    warmed = built("sasrec", now, seed=3)
    warm.warm(warmed, now, Recommender.of(earlier, earlier_data))
    from_first, from_earlier = losses(built("sasrec", now, seed=3), now), losses(warmed, now)
    assert from_earlier[0] < from_first[4]
