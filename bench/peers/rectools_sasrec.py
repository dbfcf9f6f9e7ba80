"""SASRec of RecTools, `loss="softmax"`: full cross-entropy over the catalogue at every position, sequences padded to the length."""

from __future__ import annotations

import logging
import math
import warnings

import measure


def main() -> None:
    arguments = measure.parse(__doc__)
    with measure.quiet():
        report = train(arguments)
    report()


def train(arguments):
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    import numpy as np
    import pandas as pd
    from pytorch_lightning import Callback, Trainer, seed_everything
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    seed_everything(arguments.seed, verbose=False)
    events = measure.load(arguments.events)
    frame = pd.DataFrame(
        {
            Columns.User: events.users,
            Columns.Item: events.items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(events.positions, unit="s"),
        }
    )
    dataset = Dataset.construct(frame[events.before("validation")])
    meter = measure.Meter(math.ceil(events.num_users / arguments.batch), arguments.warmup_steps, arguments.steps)

    def trainer(**_):
        # As RecTools makes its own, plus the clock.
        return Trainer(
            max_epochs=arguments.epochs,
            min_epochs=1,
            max_steps=arguments.steps or -1,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
            enable_checkpointing=False,
            accelerator="cpu",
            devices=1,
            callbacks=[measure.lightning_callback(Callback, meter)],
        )

    model = SASRecModel(
        n_blocks=arguments.blocks,
        n_heads=arguments.heads,
        n_factors=arguments.d,
        dropout_rate=arguments.dropout,
        session_max_len=arguments.max_length,
        loss="softmax",
        lr=arguments.lr,
        batch_size=arguments.batch,
        get_trainer_func=trainer,
        recommend_torch_device="cpu",
    )
    if not arguments.eval_every:
        model.fit(dataset)
    else:
        known = Dataset.construct(frame[events.before(arguments.eval_on)])
        while len(meter.epochs) < arguments.epochs:
            model.fit_partial(dataset, min_epochs=1, max_epochs=1)
            if len(meter.epochs) % arguments.eval_every == 0:
                recommended = model.recommend(np.arange(events.num_users), known, k=measure.K, filter_viewed=True)
                lists = np.full((events.num_users, measure.K), -1)
                lists[recommended[Columns.User], recommended[Columns.Rank] - 1] = recommended[Columns.Item]
                meter.record(measure.ndcg(lists, events.truth(arguments.eval_on)), arguments.eval_on)
    return lambda: measure.report("RecTools", "rectools", arguments, events, meter)


if __name__ == "__main__":
    main()
