"""The `[train]` section, and how what it leaves open adapts to the data."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tastemaker.settings import Settings
from tastemaker.train import losses, sampling
from tastemaker.train.optim import OptimizerName, ScheduleName

_NO_NEGATIVES = ("cross_entropy", "directau", "squared_error")
_OF_ONE_LOSS = {"bpr_max_penalty": "bpr_max", "ccl_margin": "ccl", "ccl_weight": "ccl", "uniformity": "directau"}
Precision = Literal["auto", "float32", "bfloat16"]


class LoopConfig(Settings):
    """Settings of the loop, whatever is fitted. `None` means: chosen from the model and the data, and written into the run's config."""

    optimizer: OptimizerName = Field("adamw", description="how weights follow gradients")
    learning_rate: float | None = Field(None, gt=0, description="size of a step; default: what suits the model")
    betas: tuple[float, float] = Field((0.9, 0.999), description="of adam and adamw: memory of mean and square of gradients")
    weight_decay: float = Field(0.0, ge=0, description="decay of all weights")
    clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    schedule: ScheduleName = Field("constant", description="how the learning rate changes after warm-up")
    warmup: int = Field(0, ge=0, description="steps of linear warm-up")
    epochs: int | None = Field(None, ge=1, description="at most this many")
    patience: int | None = Field(None, ge=1, description="validations without a better metric before stopping")
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1"')
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all cores")
    seed: int = Field(0, ge=0, description="of first weights, order, negatives and dropout")


class TrainConfig(LoopConfig):
    """How a retrieval model is fitted by gradients."""

    loss: str | None = Field(None, description=f"one of {', '.join(losses.NAMES)}; default: what suits the model")
    sampler: str | None = Field(None, description=f"negatives: {', '.join(sampling.NAMES)}")
    num_negatives: int | None = Field(None, ge=1, description="negatives a positive, or a batch (softmax, shared)")
    shared: bool = Field(
        False, description="one sample of negatives for the whole batch, so that many are cheap; a softmax has it so"
    )
    hard: int = Field(
        1, ge=1, description="draw this many for each negative and keep the one ranked highest; not for a softmax"
    )
    alpha: float = Field(0.75, ge=0, le=2, description="exponent of the popularity sampler")
    gbce_t: float = Field(0.75, ge=0, le=1, description="calibration of gbce: 0 plain, 1 full")
    bpr_max_penalty: float = Field(1.0, ge=0, description="of bpr_max: on the squared scores of negatives")
    ccl_margin: float = Field(0.8, ge=-1, le=1, description="of ccl: cosines of negatives below it cost nothing")
    ccl_weight: float = Field(150.0, gt=0, description="of ccl: what all negatives of a positive weigh together")
    uniformity: float = Field(1.0, ge=0, description="of directau: weight of spreading vectors against bringing pairs together")
    adversarial: float = Field(
        0.0, ge=0, description="length of the worst small push on the vectors of a batch that is trained against"
    )
    adversarial_weight: float = Field(1.0, gt=0, description="of the loss under that push")
    l2: float = Field(0.0, ge=0, description="penalty on the squared vectors of a batch")
    l1: float = Field(0.0, ge=0, description="penalty on the absolute vectors of a batch")
    batch_targets: int | None = Field(None, ge=1, description="targets (not padded rows) a step")
    slide: bool = Field(
        False, description="histories longer than max_length: another stretch each epoch, not always the newest"
    )
    refit: bool = Field(False, description="train again on train + validation, for as many epochs as were best")
    precision: Precision = Field("auto", description="of the products over the catalogue")

    @model_validator(mode="after")
    def _names(self) -> Self:
        for value, known, what in ((self.loss, losses.NAMES, "loss"), (self.sampler, sampling.NAMES, "sampler")):
            if value is not None and value not in known:
                raise ValueError(f"{what} to be one of {', '.join(known)}, not {value!r}")
        if self.sampler and self.loss in _NO_NEGATIVES:
            raise ValueError(f"no sampler: {self.loss} draws no negatives")
        if self.hard > 1 and self.sampler == "in_batch":
            raise ValueError("hard to be 1: a batch's positives are what in_batch has")
        if (self.hard > 1 or self.shared) and self.loss in (None, "softmax", *_NO_NEGATIVES):
            name = "hard" if self.hard > 1 else "shared"
            raise ValueError(f"loss to be bpr, bce, gbce, … where {name} is set, not {self.loss or 'left open'}")
        for name, loss in _OF_ONE_LOSS.items():
            if (
                name in self.model_fields_set
                and getattr(self, name) != type(self).model_fields[name].default
                and self.loss != loss
            ):
                raise ValueError(f"loss to be {loss} where {name} is set, not {self.loss or 'left open'}")
        if self.adversarial and self.loss in (None, "cross_entropy"):
            raise ValueError(f"a loss of sampled negatives where adversarial is set, not {self.loss or 'left open'}")
        return self

    def adapted(self, learns_from: str, defaults: dict[str, object], num_targets: int, num_items: int) -> TrainConfig:
        """This config with every open choice made.

        Small data wants many updates, so a step sees about 1/600 of an epoch's targets (256 … 2,048 of them) rather than a fixed
        number of users, and all epochs together about 12,000 steps (10 … 40 epochs; early stopping may end them sooner). Pairs are
        cheaper than sequences: 1/128 (ratings: 1/300), up to 8,192, and about 2,000 steps (20 … 200 epochs). The loss is cross-entropy over the catalogue up to 50,000 items, sampled beyond.
        Patience counts in validations.
        """
        chosen = {
            key: value for key, value in defaults.items() if key not in self.model_fields_set or getattr(self, key) is None
        }
        config = self.model_copy(update=chosen)
        sequences = learns_from == "sequences"
        loss = config.loss or ("cross_entropy" if num_items <= 50_000 else "softmax")
        share, least, most = (
            (600, 256, 2048) if sequences else (300, 256, 8192) if loss == "squared_error" else (128, 512, 8192)
        )
        batch = config.batch_targets or min(most, max(least, num_targets // share))
        many = {"softmax": 4096, "gbce": 256, "bpr_max": 256, "top1_max": 256, "ccl": 1000}
        steps = max(1, -(-num_targets // batch))
        return config.model_copy(
            update={
                "loss": loss,
                "sampler": None if loss in _NO_NEGATIVES else config.sampler or "uniform",
                "num_negatives": config.num_negatives or many.get(loss, 1),
                "learning_rate": config.learning_rate or 0.001,
                "warmup": min(config.warmup, steps) if "warmup" in defaults else config.warmup,
                "epochs": config.epochs
                or (min(40, max(10, 12_000 // steps)) if sequences else min(200, max(20, 2000 // steps))),
                "batch_targets": batch,
                "patience": config.patience or 10,
            }
        )
