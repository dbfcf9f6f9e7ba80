"""Models of DeepCTR-Torch that rank by features, on the rows of `bench.ctr.frappe_rows`, at the settings BARS has for Frappe_x1.

    python bench/peers/deepctr_ctr.py --rows DIR --model DeepFM              # to the end: test AUC and log loss of the best epoch
    python bench/peers/deepctr_ctr.py --rows DIR --model DeepFM --steps 60   # speed alone

What it does that bears on a comparison:
- The loss is the *sum* over the batch, and l2 adds l2 · ‖W‖² (no half) of whole tables. Its default of 1e-5, on embeddings and on the linear part, is thus
  1e-5 / batch beside a mean. `--l2 bars` (the default) gives it BARS' penalty: l2 = λ / 2 · batch; `--l2 own` leaves its defaults. The constructor of `DCN`
  passes nothing on to the linear part, whose l2 stays 1e-5.
- It never lowers the learning rate, and neither does this script, unless `--decay` divides it by ten after every epoch without a better validation AUC, as
  FuxiCTR does by itself.
- Its `EarlyStopping` has patience 0 and keeps the last weights by default; here patience is `--patience` and the best weights are loaded again before testing.
- Dense layers begin at N(0, 1e-4), embeddings too: without batch norm (off by default; here as BARS has it) the network is all but zero at first. Biases of
  the MLP's layers begin as torch has them. No clipping of gradients.
- `NFM` has no batch norm, `AutoInt` no layer norm and one width for all (d = 10, which two heads divide and four do not): their settings are not BARS'.
- `DNN` is `WDL` without its linear part; `LR` is `WDL` without its network; `FM` is `DeepFM` without one; `DCNv2` is `DCN` with matrices, whose parts are
  summed up by one linear layer as FuxiCTR's are, beside a linear part that FuxiCTR's has not.
- The ids go through float32 (exact to 16,777,216). One look-up a field and, of the linear part, another. Dense Adam over all tables.
- Each row is fetched and collated by itself. `samples_per_cpu_s` leaves that out, `samples_per_cpu_s_with_batches` does not.
- With `verbose` above 0 it computes every metric by scikit-learn at every step; here it is 0.
- Its import needs `requests`, which it does not declare, and asks the registry for a newer version of itself, in a thread.
"""

from __future__ import annotations

import copy
import time
import warnings
from typing import Any

import ctr_measure as ctr
import measure

MODELS = tuple(name for name in ctr.BARS if name not in ("FFM", "FinalMLP"))


def extend(parser: Any) -> None:
    parser.add_argument(
        "--l2", choices=("bars", "own"), default="bars", help="BARS' penalty of embeddings, or the library's defaults"
    )
    parser.add_argument(
        "--decay", action="store_true", help="divide the learning rate by ten after an epoch without a better validation AUC"
    )


def build(model: str, columns: list[Any], given: dict[str, Any], l2: float | None, seed: int) -> Any:
    """The model with BARS' settings under the library's names."""
    from deepctr_torch import models

    common: dict[str, Any] = {"seed": seed}
    if l2 is not None:
        common |= {"l2_reg_embedding": l2, "l2_reg_linear": l2}
    mlp = {"dnn_hidden_units": tuple(given.get("hidden", ())), "dnn_dropout": given.get("dropout", 0)}
    norm = {"dnn_use_bn": given.get("batch_norm", False)}
    if model == "LR":
        return models.WDL(columns, [], dnn_hidden_units=(), **common)
    if model == "FM":
        return models.DeepFM(columns, columns, dnn_hidden_units=(), **common)
    if model == "DNN":
        return models.WDL([], columns, **mlp, **norm, **common)
    if model == "WideDeep":
        return models.WDL(columns, columns, **mlp, **norm, **common)
    if model == "DeepFM":
        return models.DeepFM(columns, columns, **mlp, **norm, **common)
    if model in ("DCN", "DCNv2"):
        how = "matrix" if model == "DCNv2" else "vector"
        return models.DCN(
            columns, columns, cross_num=given["cross_layers"], cross_parameterization=how, **mlp, **norm, **common
        )
    if model == "NFM":
        return models.NFM(columns, columns, **mlp, **common)
    if model == "AFM":
        dropout = given["attention_dropout"][0]
        return models.AFM(columns, columns, attention_factor=given["attention_dim"], afm_dropout=dropout, **common)
    if model == "xDeepFM":
        return models.xDeepFM(
            columns, columns, cin_layer_size=tuple(given["cin"]), cin_split_half=False, **mlp, **norm, **common
        )
    common.pop("l2_reg_linear", None)
    return models.AutoInt(columns, columns, att_layer_num=given["attention_layers"], att_head_num=2, **mlp, **norm, **common)


def main() -> None:
    arguments = ctr.parse(__doc__, MODELS, extend)
    warnings.filterwarnings("ignore")
    rows, clock = ctr.load(arguments.rows), ctr.Clock(arguments.warmup_steps, arguments.steps)
    with measure.quiet():
        started, more = train(arguments, rows, clock)
    ctr.report(
        "DeepCTR-Torch", "deepctr-torch", arguments, rows, clock, started, l2=arguments.l2, decay=arguments.decay, **more
    )


def train(arguments: Any, rows: ctr.Rows, clock: ctr.Clock) -> tuple[float, dict[str, Any]]:
    """When training began, and what came of it."""
    import torch
    from deepctr_torch.callbacks import Callback
    from deepctr_torch.inputs import SparseFeat

    torch.set_num_threads(arguments.threads)
    columns = [
        SparseFeat(name, vocabulary_size=size, embedding_dim=arguments.d)
        for name, size in zip(ctr.FIELDS, rows.sizes, strict=True)
    ]
    l2 = arguments.settings["regularizer"] / 2 * arguments.batch if arguments.l2 == "bars" else None
    model = build(arguments.model, columns, arguments.settings, l2, arguments.seed)
    model.compile(torch.optim.Adam(model.parameters(), lr=arguments.lr), "binary_crossentropy", metrics=[])
    watch(model, clock)
    inputs = {part: dict(zip(ctr.FIELDS, rows.codes[part].T, strict=True)) for part in ctr.PARTS}

    class Judge(Callback):
        best, waited = -1.0, 0
        weights: Any = None

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.pause()
            value = ctr.auc(rows.labels["validation"], model.predict(inputs["validation"], arguments.batch).ravel())
            group = model.optim.param_groups[0]
            clock.record(value, group["lr"])
            if value > self.best + 1e-6:
                self.best, self.waited, self.weights = value, 0, copy.deepcopy(model.state_dict())
            else:
                self.waited += 1
                model.stop_training = self.waited >= arguments.patience
                if arguments.decay:
                    group["lr"] = max(group["lr"] / 10, 1e-6)
            model.train()
            clock.pause()

    judge = Judge()
    more = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    started = time.perf_counter()
    try:
        model.fit(
            inputs["train"],
            rows.labels["train"],
            batch_size=arguments.batch,
            epochs=arguments.epochs,
            verbose=0,
            callbacks=[judge],
        )
    except ctr.EnoughError:
        return started, more
    model.load_state_dict(judge.weights)
    probabilities = model.predict(inputs["test"], arguments.batch).ravel()
    labels = rows.labels["test"]
    return started, more | {
        "test_auc": round(ctr.auc(labels, probabilities), 6),
        "test_logloss": round(ctr.logloss(labels, probabilities), 6),
    }


def watch(model: Any, clock: ctr.Clock) -> None:
    """Have the clock run from the start of each training step's forward pass to the end of its update."""
    step = model.optim.step
    samples = 0

    def begin(module: Any, arguments: Any) -> None:
        nonlocal samples
        if module.training:
            samples = len(arguments[0])
            clock.begin()

    def timed_step(*arguments: Any, **more: Any) -> Any:
        result = step(*arguments, **more)
        clock.end(samples)
        return result

    model.register_forward_pre_hook(begin)
    model.optim.step = timed_step


if __name__ == "__main__":
    main()
