"""Tastemaker's own SASRec under the clock and the settings of its peers: `--batch` users a step, in targets."""

from __future__ import annotations

import json

import measure


def main() -> None:
    arguments = measure.parse(__doc__, extend=extend)
    with measure.quiet():
        report = train(arguments)
    report()


def extend(parser) -> None:
    parser.add_argument("--train", type=json.loads, default={}, help='further [train] settings, as JSON: {"slide": true}')


def train(arguments):
    import numpy as np
    import torch

    from tastemaker.data.interactions import Histories, Interactions
    from tastemaker.data.schema import FeatureSchema
    from tastemaker.data.vocabulary import FIRST
    from tastemaker.models.sasrec import SASRec
    from tastemaker.recommend.candidates import retrieve
    from tastemaker.train.config import TrainConfig
    from tastemaker.train.trainer import train as fit

    torch.set_num_threads(arguments.threads)
    events = measure.load(arguments.events)
    known = events.before("validation")
    users, items = (events.users[known] + FIRST).astype(np.int32), (events.items[known] + FIRST).astype(np.int32)
    rows = len(users)
    interactions = Interactions(
        users, items, np.arange(rows), np.ones(rows, np.float32), np.zeros(rows, np.int8), np.full(rows, -1, np.int8)
    )
    torch.manual_seed(arguments.seed)
    model = SASRec(
        SASRec.Config(
            dim=arguments.d,
            blocks=arguments.blocks,
            heads=arguments.heads,
            dropout=arguments.dropout,
            max_length=arguments.max_length,
        ),
        FeatureSchema(events.num_users + FIRST, events.num_items + FIRST),
    )
    targets = int(np.minimum(np.bincount(users)[FIRST:], arguments.max_length + 1).sum())
    config = TrainConfig(
        optimizer="adam",
        learning_rate=arguments.lr,
        batch_targets=round(targets / events.num_users * arguments.batch),
        epochs=arguments.epochs,
        patience=arguments.epochs,
        seed=arguments.seed,
        **arguments.train,
    )
    meter = measure.Meter(-(-targets // config.batch_targets), arguments.warmup_steps, arguments.steps)
    side = arguments.eval_on

    def after_epoch(model) -> float:
        meter.end_epoch()
        if arguments.eval_every and len(meter.epochs) % arguments.eval_every == 0:
            histories = Histories.of([history + FIRST for history in events.histories(side)])
            asked = np.arange(events.num_users) + FIRST
            lists = retrieve(model, asked, histories, measure.K, exclude=histories).codes
            meter.record(measure.ndcg(lists, events.truth(side) + FIRST), side)
        meter.start_epoch()
        return 0.0

    meter.start_epoch()
    for _ in fit(model, interactions, config, validate=after_epoch):
        pass
    return lambda: measure.report(
        "Tastemaker", "tastemaker", arguments, events, meter, settings=arguments.train, computed_targets=targets
    )


if __name__ == "__main__":
    main()
