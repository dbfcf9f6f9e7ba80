"""SASRec of RePlay (`replay.nn`), its default CE loss: full cross-entropy at every position, sequences padded to the length."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from pathlib import Path

import measure


def main() -> None:
    arguments = measure.parse(__doc__, extend=extend)
    with measure.quiet(), tempfile.TemporaryDirectory() as folder:
        report = train(arguments, Path(folder) / "train.parquet")
    report()


def extend(parser) -> None:
    parser.add_argument("--bucket", type=int, help="rows a bucket of RePlay's LengthBucketedQueryEncoder; not used by default")


def train(arguments, path: Path):
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import lightning
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorFeatureSource, TensorSchema
    from replay.nn.lightning import LightningModule
    from replay.nn.lightning.optimizer import OptimizerFactory
    from replay.nn.sequential import LengthBucketedQueryEncoder, SasRec
    from replay.nn.transform.template import make_default_sasrec_transforms

    pa.set_cpu_count(arguments.threads)
    pa.set_io_thread_count(arguments.threads)
    lightning.seed_everything(arguments.seed, verbose=False)
    events = measure.load(arguments.events)
    length = arguments.max_length
    schema = TensorSchema(
        [
            TensorFeatureInfo(
                "item_id",
                is_seq=True,
                feature_type=FeatureType.CATEGORICAL,
                embedding_dim=arguments.d,
                padding_value=events.num_items,
                cardinality=events.num_items,
                feature_hint=FeatureHint.ITEM_ID,
                feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
            )
        ]
    )
    sequences = [history[-length - 1 :] for history in events.histories("validation")]
    pq.write_table(pa.table({"item_id": pa.array(sequences, type=pa.list_(pa.int64()))}), path)
    data = ParquetModule(
        train_path=str(path),
        batch_size=arguments.batch,
        metadata={"train": {"item_id": {"shape": length + 1, "padding": events.num_items}}},
        transforms={"train": make_default_sasrec_transforms(schema)["train"]},
    )
    model = SasRec.from_params(
        schema,
        embedding_dim=arguments.d,
        num_heads=arguments.heads,
        num_blocks=arguments.blocks,
        max_sequence_length=length,
        dropout=arguments.dropout,
    )
    if arguments.bucket:
        model.body.encoder = LengthBucketedQueryEncoder(model.body.encoder, arguments.bucket)
    meter = measure.Meter(math.ceil(events.num_users / arguments.batch), arguments.warmup_steps, arguments.steps)
    side = arguments.eval_on

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        lists = []
        histories = events.histories(side)
        for start in range(0, events.num_users, 256):
            chunk = histories[start : start + 256]
            padded = np.full((len(chunk), length), events.num_items)
            for row, history in zip(padded, chunk, strict=True):
                row[-min(length, len(history)) :] = history[-length:]
            items = torch.from_numpy(padded)
            scores = model(feature_tensors={"item_id": items}, padding_mask=items != events.num_items)["logits"]
            rows = np.repeat(np.arange(len(chunk)), [len(history) for history in chunk])
            scores[rows, np.concatenate(chunk)] = -torch.inf
            lists.append(scores.topk(measure.K).indices.numpy())
        model.train()
        return measure.ndcg(np.concatenate(lists), events.truth(side))

    def after_epoch(epoch: int) -> None:
        if arguments.eval_every and epoch % arguments.eval_every == 0:
            meter.record(evaluate(), side)

    lightning.Trainer(
        max_epochs=arguments.epochs,
        max_steps=arguments.steps or -1,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        accelerator="cpu",
        devices=1,
        callbacks=[measure.lightning_callback(lightning.Callback, meter, after_epoch)],
    ).fit(LightningModule(model, optimizer_factory=OptimizerFactory(learning_rate=arguments.lr)), datamodule=data)
    return lambda: measure.report("RePlay", "replay-rec", arguments, events, meter, settings={"bucket": arguments.bucket})


if __name__ == "__main__":
    main()
