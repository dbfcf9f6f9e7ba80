"""What a model is: a query goes in, scores come out. Fitting, files and metrics live elsewhere.

```
Model                   score(query, items)
├── RetrievalModel      encode_user(query) · encode_item(codes): the score is their dot product
│   └── SequenceModel   encode_before(query): a user vector before every event of the history
│       └── TokenModel  states(rows): the same of a start token and the events behind it
├── PairModel           score_each(query, items): a user and an item are looked at together
├── GenerativeModel     surprise(batch): an item is spelled, token by token, and the score is its log probability
└── Solvable            solve(interactions): fitted in closed form or by counting, not by gradients
```

A model never sees a loss. In training it is handed a `Batch` and says, as `Encoded`, which vectors ask for which targets.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.habits import suited
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.nn.entity import EntityEncoder, ItemTable, with_items_alone, with_more_items
from tastemaker.nn.sparse import SizedByData
from tastemaker.nn.started import Started
from tastemaker.settings import Settings

_PAIRS = 1 << 16
"""User-item pairs that a `PairModel` scores at a time."""


@dataclass(frozen=True, eq=False)
class Query:
    """What is known of a batch of users when they ask: their codes and what they did, packed oldest first, never padded."""

    users: Tensor
    """int64 (batch,): user codes, UNKNOWN for users not seen in training"""
    items: Tensor
    """int64 (events,): item codes of all histories, one after the other"""
    times: Tensor
    """int64 (events,): µs since 1970 UTC"""
    values: Tensor
    """float32 (events,)"""
    offsets: Tensor
    """int64 (batch + 1,): user b's events are `offsets[b]:offsets[b + 1]`"""

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> Tensor:
        """int64 (batch,)"""
        return self.offsets.diff()

    @property
    def rows(self) -> Tensor:
        """int64 (events,): the batch row of each event"""
        return torch.repeat_interleave(self.lengths, output_size=len(self.items))

    def matrix(self, num_items: int, *, repeats: bool = False) -> sp.csr_matrix:
        """Who did what, in no order: sparse float32 (batch, num_items), columns ascending.

        A cell for each known item of a history: 1, or the number of its events when `repeats`.
        """
        known = self.items >= FIRST
        rows, items = self.rows[known].cpu().numpy(), self.items[known].cpu().numpy()
        cells = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, items)), shape=(len(self), num_items))
        cells.sum_duplicates()
        if not repeats:
            cells.data[:] = 1.0
        return cells

    def shares(self, num_items: int, *, repeats: bool = False) -> Tensor:
        """float32 (events,): the part of its `matrix` cell that each event brings; 0 for unknown items."""
        known = (self.items >= FIRST).float()
        if repeats:
            return known
        _, group, count = torch.unique(self.rows * num_items + self.items, return_inverse=True, return_counts=True)
        return known / count[group]

    def to(self, device: torch.device | str) -> Query:
        """The same query on another device."""
        return replace(
            self, **{name: getattr(self, name).to(device) for name in ("users", "items", "times", "values", "offsets")}
        )

    def last(self, length: int) -> Query:
        """The same users with only the newest `length` events of each."""
        if not len(self) or int(self.lengths.max()) <= length:
            return self
        return self._keep(
            torch.repeat_interleave(self.offsets[1:], self.lengths) - torch.arange(len(self.items), device=self.items.device)
            <= length
        )

    def known(self) -> Query:
        """The same users without events on PAD or UNKNOWN items, which no model can read."""
        known = self.items >= FIRST
        return self if bool(known.all()) else self._keep(known)

    def _keep(self, mask: Tensor) -> Query:
        places = torch.cat([mask.new_zeros(1, dtype=torch.int64), mask.cumsum(0)])
        return Query(self.users, self.items[mask], self.times[mask], self.values[mask], places[self.offsets])

    @classmethod
    def of(cls, users: np.ndarray, histories: Histories) -> Query:
        """The query of user codes (batch,) and their histories (a row each)."""
        return cls(
            torch.from_numpy(np.asarray(users, dtype=np.int64)),
            torch.from_numpy(histories.items.astype(np.int64)),
            torch.from_numpy(np.array(histories.times, dtype=np.int64)),
            torch.from_numpy(np.array(histories.values, dtype=np.float32)),
            torch.from_numpy(np.array(histories.offsets, dtype=np.int64)),
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Training examples: a query and what is asked of it.

    Sequence and basket examples have a target for each event of the query (the event itself); pair and rating examples have one for
    each row of the query, or several where `rows` says so.
    """

    query: Query
    targets: Tensor
    """int64 (n,): item codes"""
    values: Tensor
    """float32 (n,): explicit values"""
    weights: Tensor
    """float32 (n,): weights of the kinds of behaviour"""
    rows: Tensor | None = None
    """int64 (n,): the query row of each target; None: one target a row, or for sequences the row of the event"""

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        rows = None if self.rows is None else self.rows.to(device)
        return Batch(self.query.to(device), self.targets.to(device), self.values.to(device), self.weights.to(device), rows)


@dataclass(frozen=True, eq=False)
class Encoded:
    """The user vectors of a batch, and what comes with them."""

    users: Tensor
    """float32 (vectors, dim)"""
    rows: Tensor | None = None
    """int64 (asked,): the vector that asks for each target; None: one vector a target, in order"""
    asked: Tensor | None = None
    """int64 (asked,): places of the batch's targets that are asked for at all; None: all of them"""
    penalty: Tensor | None = None
    """float32 (): what the model adds to the mean loss of a target, such as a divergence or a contrast of its own"""
    items: Tensor | None = None
    """float32 (asked, dim): the vector of each target, where it is another in this batch than `encode_item` has; for losses that
    compare targets one by one"""


class Model(SizedByData, abc.ABC):
    """Base of all models. Built from its `Config` and the schema alone; all state is in parameters and buffers.

    A buffer whose shape only the data knows is made with `register_data_buffer`, so that a saved state loads into a fresh model.
    """

    class Config(Settings):
        """Settings of the model; each model file defines its own."""

    learns_from: ClassVar[str] = ""
    """What a training example is: "sequences" (a target at each event), "baskets" (a user's whole history, in no order, is query and
    target), "pairs" (user code, item), or "" for solvable models."""
    train_defaults: ClassVar[dict[str, Any]] = {}
    """`[train]` settings that suit this model whatever the loss, where the config is silent."""
    solves: ClassVar[tuple[str, ...]] = ()
    """The worlds of `data.synthetic` whose right answer the model finds, with its default settings; contract tests hold it to that."""
    needs_history: ClassVar[bool] = True
    """False when a known user is scored from the code alone."""
    needs_contents: ClassVar[bool] = False
    """True when items are nothing but the vectors of what they are (`[content]`)."""
    needs_catalogue: ClassVar[bool] = False
    """True when the model compares what items are, and so has nothing to say without a catalogue."""
    needs_reviews: ClassVar[bool] = False
    """True when the model reads what users wrote (`Interactions.review`), which `[data] columns.review` has to name."""

    def __init__(self, config: Settings, schema: FeatureSchema) -> None:
        super().__init__()
        self.config: Any = config
        self.schema = schema

    @property
    def personal(self) -> bool:
        """Whether the model says something else to each user."""
        return self.needs_history or isinstance(self, RetrievalModel | PairModel)

    def observe(self, interactions: Interactions) -> None:
        """Sets buffers that are statistics of the training side, such as a mean; called once before training by gradients.

        Reviews come with the rows, so no model sees one of another side; what it keeps of them is saved with the weights.
        """

    def observe_catalogue(self, catalogue: pa.Table) -> None:
        """Sets buffers from what the items are: a row per item place (code - 2). Called once before fitting of whatever kind.

        What it sets is saved with the weights, so that nobody who asks the model needs the catalogue.

        Raises:
            DataError: the model needs a catalogue that this one is not.
        """

    def observe_contents(self, contents: ItemContents, interactions: Interactions) -> None:
        """Takes the vectors of what items are; items with an event among `interactions` may have a vector of their own as well.

        Called once before fitting, if the schema has contents; a model without such tables takes nothing.
        """
        counts = np.bincount(interactions.item, minlength=self.schema.num_items)
        for table in self._entities():
            table.set(contents, counts)

    def begin_step(self) -> None:
        """Drops what was kept for speed and depends on weights that are about to change."""
        self.forget()
        for table in self._entities():
            table.forget()

    @property
    def reads_contents(self) -> bool:
        """Whether items are known by what they are as well: the schema has contents, and the model makes use of them."""
        return next(self._entities(), None) is not None

    @property
    def trained_items(self) -> Tensor | None:
        """int64: codes of the items that training compares with; None: all. With contents an item without events is no negative."""
        table = next(self._entities(), None)
        return None if table is None else table.trained.nonzero().squeeze(1)

    def _entities(self) -> Iterator[EntityEncoder]:
        return (module for module in self.modules() if isinstance(module, EntityEncoder))

    @classmethod
    def defaults(cls, loss: str | None) -> dict[str, Any]:
        """`[train]` settings that suit this model trained with `loss`, where the config is silent."""
        return cls.train_defaults

    @classmethod
    def predicts_values(cls, loss: str | None) -> bool:
        """Whether scores of this model, trained with `loss`, are predicted values such as ratings, so that rmse can judge them."""
        return loss == "squared_error"

    @classmethod
    def adapt(cls, config: Any, interactions: Interactions, loss: str | None = None) -> Any:
        """The config with what was left to its default chosen from the training side and the loss; most models need no choice."""
        return config

    @abc.abstractmethod
    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        """Scores, any real numbers, higher is better: (batch, num_items) for all codes, or (batch, candidates) for `items`.

        `items` is int64 (candidates,), the same for all rows. A row does not depend on other rows, nor a column on other columns.
        Scores of PAD and UNKNOWN mean nothing. A user with neither code nor history gets what the model's docstring says.
        """


class RetrievalModel(Model):
    """A model whose score is a dot product of a user vector and an item vector, so that an index can search it."""

    item_rows: ClassVar[tuple[str, ...]] = ()
    """Parameters and buffers with a row an item besides the tables of item vectors; a new item gets the mean of those trained."""

    @abc.abstractmethod
    def encode_user(self, query: Query) -> Tensor:
        """User vectors, float32 (batch, dim)."""

    @abc.abstractmethod
    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        """Item vectors, float32 (…, dim) for `codes` (int64, any shape), or (num_items, dim) for all."""

    def item_row(self, name: str) -> Tensor:
        """A table of `item_rows` as it counts now: while `content.warm_up` has items begin where they are usual, drawn to the mean of those trained."""
        table: Tensor = getattr(self, name)
        entity = next((part for part in self.children() if isinstance(part, EntityEncoder)), None)
        if entity is None or self.training or not entity.schema.settings.warm_up:
            return table
        usual = table[entity.trained].mean(dim=0, keepdim=True).nan_to_num(0.0)
        return usual + entity.own_share.view(-1, *[1] * (table.ndim - 1)) * (table - usual)

    @property
    def grows(self) -> bool:
        """Whether items that come later can be added by what they are (`grown`)."""
        return any(isinstance(part, EntityEncoder) for part in self.children())

    def grown(self, contents: ItemContents) -> Self:
        """The same model with items more, which get the codes after the last; all weights are shared with this one.

        Raises:
            ValueError: the model does not grow.
        """
        if not self.grows:
            raise ValueError(f"{type(self).__name__} without contents does not grow")
        return with_more_items(self, contents, self.item_rows)

    def encode_told(self, contents: ItemContents, own: np.ndarray) -> Tensor:
        """Item vectors, float32 (items, dim), of items that are what `contents` say, as `grown` would have them; nothing else is made.

        Args:
            contents: a row an item.
            own: int (items,): the code of an item the model knows, which then keeps what is its own; PAD for one it does not.

        Raises:
            ValueError: the model does not grow.
        """
        if not self.grows:
            raise ValueError(f"{type(self).__name__} without contents does not grow")
        few: RetrievalModel = with_items_alone(self, contents, self.item_rows, own)
        return few.encode_item().detach()

    def encode_batch(self, batch: Batch) -> Encoded:
        """The user vectors that a training step compares with items; called in training mode alone."""
        return Encoded(self.encode_user(batch.query), batch.rows)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        return self.encode_user(query) @ self.encode_item(items).T

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        """Scores of one item a row: `items` int64 (batch,) → float32 (batch,). A rating model predicts values so.

        With `rows`, int64 (n,), item j of `items`, (n,), is asked for by query row `rows[j]`: a user with many items is read once.
        `times`, int64 (n,), are the moments the values are asked for, µs since 1970 UTC, for models that can tell one from another.
        """
        users = self.encode_user(query)
        return ((users if rows is None else users[rows]) * self.encode_item(items)).sum(-1)


class PairModel(Model):
    """A model that looks at a user and an item together, so that no index can search it."""

    learns_from = "pairs"

    @abc.abstractmethod
    def score_each(self, query: Query, items: Tensor) -> Tensor:
        """Scores of items of each row's own: `items` int64 (batch, n) → float32 (batch, n)."""

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        codes = torch.arange(self.schema.num_items, device=query.users.device) if items is None else items
        blocks = codes.split(max(1, _PAIRS // max(1, len(query))))
        return torch.cat([self.score_each(query, block.expand(len(query), -1)) for block in blocks], dim=1)


class GenerativeModel(Model):
    """A sequence model that spells the next item as tokens; its score is the log of the item's probability, which sum to 1."""

    learns_from = "sequences"

    @abc.abstractmethod
    def surprise(self, batch: Batch) -> Tensor:
        """Minus the log probability of each event of the query from those before it: float32 (events,)."""


class SequenceModel(RetrievalModel):
    """A retrieval model that reads the history in order and can be asked before every event of it.

    With `similarity = "cosine"` users and items have unit length and the score is their cosine over `temperature` (Gupta et al. 2019,
    "NISER: Normalized Item and Session Representations to Handle Popularity Bias", eq. 6, whose scale of 16 is a temperature of 1/16):
    no item wins by the length of its vector, which grows with how often it was a target.
    """

    class Config(Settings):
        """Settings that sequence models share."""

        dim: int = Field(64, gt=0, description="size of item and user vectors")
        similarity: Literal["dot", "cosine"] = Field("dot", description="of user and item vectors")
        temperature: float = Field(0.0625, gt=0, description="what cosines are divided by")

        @model_validator(mode="after")
        def _similarity(self) -> Self:
            if self.similarity == "dot" and self.temperature != type(self).model_fields["temperature"].default:
                raise ValueError("similarity to be cosine where temperature is set")
            return self

    learns_from = "sequences"
    item_embedding: ItemTable

    def encode_batch(self, batch: Batch) -> Encoded:
        return Encoded(self.encode_before(batch.query))

    @abc.abstractmethod
    def encode_before(self, query: Query) -> Tensor:
        """The user vector just before each event, float32 (events, dim).

        Row e knows the events of its user before e and nothing else; at a user's first event it is what is expected of anyone. All
        histories in the query are short enough (`max_length` + 1 events) and known (no PAD, no UNKNOWN).
        """

    @property
    def item_table(self) -> ItemTable:
        """The vectors of the items that are recommended: by default those that are read."""
        return self.item_embedding

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        vectors = self.item_table.weight if codes is None else self.item_table(codes)
        return F.normalize(vectors, dim=-1) if self.config.similarity == "cosine" else vectors

    def compared(self, users: Tensor) -> Tensor:
        """User vectors as items are compared with them: (…, dim) → (…, dim)."""
        return F.normalize(users, dim=-1) / self.config.temperature if self.config.similarity == "cosine" else users


class TokenModel(SequenceModel):
    """A sequence model that reads a history as tokens, a start and then its events, and recommends the items that it reads.

    Every history begins with the start, so the first event is a target too, and a user with nothing gets what anyone's first event is
    likely to be.
    """

    @classmethod
    def adapt(cls, config: Any, interactions: Interactions, loss: str | None = None) -> Any:
        """Length and dropout that suit the data (`data.habits.suited`)."""
        return suited(config, interactions)

    @abc.abstractmethod
    def states(self, rows: Started) -> Tensor:
        """What is known at each token, from it and those before it in its row: float32 (tokens, dim)."""

    def newest(self, rows: Started) -> Tensor:
        """The `states` of the last token of each row, none of which is empty: float32 (rows, dim)."""
        return self.states(rows).index_select(0, rows.newest)

    def encode_before(self, query: Query) -> Tensor:
        return self.compared(self.states(Started.before(query.items, query.times, query.offsets)))

    def encode_user(self, query: Query) -> Tensor:
        query = query.known().last(self.config.max_length)
        return self.compared(self.newest(Started.after(query.items, query.times, query.offsets)))


@runtime_checkable
class Solvable(Protocol):
    """A model fitted in closed form or by counting."""

    def solve(self, interactions: Interactions) -> None:
        """Sets the model's buffers from training interactions. Equal input gives equal buffers."""


@runtime_checkable
class Explains(Protocol):
    """A model whose score is a sum over the events of the history."""

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        """float32 (events,): what each event adds to the score of its row's item in `items`, int64 (batch,).

        The contributions of a row sum to that score wherever the history speaks for the item at all.
        """
