"""Entities: an item's vector from its code, and from what it is where models are told of that."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from tastemaker.data.item_contents import ContentSchema, ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import PAD
from tastemaker.nn.fusion import Fused
from tastemaker.nn.sparse import SizedByData


class EntityEncoder(SizedByData):
    """A table of item vectors that behaves as an `nn.Embedding`: row = the item's own vector + the fused vectors of its modalities.

    An item without a training event has no vector of its own, so what it is decides alone. In training the own vectors of a share
    of the items, `id_dropout`, are hidden in each step, so that contents alone must do for those (Volkovs, Yu & Poutanen 2017, "DropoutNet",
    §3.2, of items and by step). With `warm_up` = k the own vector of an item with n training events counts n / (n + k) once training is
    over, so that an item begins where its contents put it and moves with each event, instead of being thrown about by a vector that few events have
    decided. While training it counts in full: weights that count less in training grow until they count as much. It is what Pan et al. 2019
    ("Warm up cold-start advertisements: improving CTR predictions via learning to learn ID embeddings") are after: contents generate the first vector of an
    id (their G_θ is what is fused here, learned on hidden ids, their cold loss) and a few events improve it. Deviation: no gradient of the loss after a
    step is taken (their warm loss); how far few events may move a vector is set by k. Contents are centred and scaled to a mean squared length of 1 over the items that have them.
    """

    trained: Tensor
    """bool (rows,): has a vector of its own"""
    there: Tensor
    """bool (rows, modalities)"""
    share: Tensor
    """float32 (rows,): how much the own vector counts; with `warm_up`"""

    def __init__(self, rows: int, dim: int, schema: ContentSchema) -> None:
        super().__init__()
        self.schema = schema
        self.own = nn.Embedding(rows, dim) if schema.settings.ids else None
        self.fused = Fused([size for _, size in schema.modalities], dim, schema.settings)
        self.dim = dim
        self.register_data_buffer("trained", torch.bool)
        if schema.settings.warm_up:
            self.register_data_buffer("share")
            self.share = torch.ones(rows)
        self.register_data_buffer("there", torch.bool, ndim=2)
        # Rows, as a table can grow; until contents are set there are none.
        self.trained, self.there = (
            torch.zeros(rows, dtype=torch.bool),
            torch.zeros(rows, len(schema.modalities), dtype=torch.bool),
        )
        for place, (_, size) in enumerate(schema.modalities):
            self.register_data_buffer(f"contents_{place}", ndim=2)
            setattr(self, f"contents_{place}", torch.zeros(rows, size))
            self.register_buffer(f"centre_{place}", torch.zeros(size))
            self.register_buffer(f"scale_{place}", torch.ones(1))
        self._whole: Tensor | None = None

    def __len__(self) -> int:
        return len(self.trained)

    @property
    def num_embeddings(self) -> int:
        """Rows."""
        return len(self)

    @property
    def embedding_dim(self) -> int:
        """Length of a vector."""
        return self.dim

    def set(self, contents: ItemContents, counts: np.ndarray) -> None:
        """Takes the contents of all items, and the training events of each: int (rows,), or bool where all that have any have many."""
        for place, (name, _) in enumerate(self.schema.modalities):
            vectors, present = np.asarray(contents.values[name], np.float32), contents.present[name]
            known = vectors[present] if present.any() else vectors[:1]
            centre = known.mean(axis=0)
            scale = 1 / max(float(np.square(known - centre).sum(axis=1).mean()) ** 0.5, 1e-12)
            setattr(self, f"centre_{place}", torch.from_numpy(centre))
            setattr(self, f"scale_{place}", torch.tensor([scale], dtype=torch.float32))
            setattr(self, f"contents_{place}", self._scaled(place, vectors, present))
        self.there = torch.from_numpy(np.stack([contents.present[name] for name, _ in self.schema.modalities], axis=1))
        self.trained = torch.from_numpy(np.asarray(counts, bool))
        if k := self.schema.settings.warm_up:
            known = torch.from_numpy(np.asarray(counts, np.float32))
            self.share = self.trained.float() if np.asarray(counts).dtype == bool else known / (known + k)
        self.forget()

    def grown(self, contents: ItemContents) -> EntityEncoder:
        """A table with a row more for each item of `contents`, none of which has a vector of its own; it shares the weights of this one."""
        fresh, more = self.only(contents), _shallow(self)
        for name in (*(f"contents_{place}" for place in range(len(self.schema.modalities))), *self._by_row):
            setattr(more, name, torch.cat([getattr(self, name), getattr(fresh, name)]))
        if self.own is not None and fresh.own is not None:
            more.own = nn.Embedding(0, self.dim)
            more.own.weight = nn.Parameter(torch.cat([self.own.weight, fresh.own.weight]))
        more.forget()
        return more

    def only(self, contents: ItemContents, own: np.ndarray | None = None) -> EntityEncoder:
        """A table of the items of `contents` alone, fused by the weights of this one.

        `own`, int (items,): the codes whose own vectors they have; PAD, and None, for none.
        """
        few, device = _shallow(self), self.there.device
        there = []
        for place, (name, _) in enumerate(self.schema.modalities):
            present = np.asarray(contents.present[name], bool)
            rows = self._scaled(place, np.asarray(contents.values[name], np.float32), present).to(device)
            setattr(few, f"contents_{place}", rows)
            there.append(torch.from_numpy(present).to(device))
        few.there = torch.stack(there, dim=1)
        codes = torch.from_numpy(np.zeros(len(few.there), np.int64) if own is None else np.asarray(own, np.int64)).to(device)
        few.trained = self.trained[codes] & (codes > PAD)
        if self.schema.settings.warm_up:
            few.share = self.share[codes]
        if self.own is not None:
            few.own = nn.Embedding(0, self.dim)
            few.own.weight = nn.Parameter(self.own.weight.detach()[codes] * few.trained.unsqueeze(1))
        few.forget()
        return few

    @property
    def weight(self) -> Tensor:
        """All rows: float32 (rows, dim); in training made once a step (`forget` ends it), else once."""
        if self.training and torch.is_grad_enabled():
            if self._whole is None:  # until the step's end: what is read and what is compared with are the same rows
                self._whole = self._rows(None)
            return self._whole
        if torch.is_grad_enabled():
            return self._rows(None)
        if self._whole is None:
            self._whole = torch.cat(
                [self._rows(codes) for codes in torch.arange(len(self), device=self.trained.device).split(8192)]
            )
        return self._whole

    def forward(self, codes: Tensor) -> Tensor:
        """Rows of codes, int64 (…) → float32 (…, dim)."""
        if not torch.is_grad_enabled() or self._whole is not None or codes.numel() >= len(self):
            return nn.functional.embedding(codes, self.weight)
        distinct, places = torch.unique(codes, return_inverse=True)
        return self._rows(distinct)[places]

    def contents_of(self, codes: Tensor) -> Tensor:
        """The fused contents alone: int64 (n,) → float32 (n, dim)."""
        return cast(Tensor, self.fused(*self._told(codes)))

    def projected(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Each modality's vector before they are fused, and which are there: (n, modalities, dim) and bool (n, modalities)."""
        vectors, there = self._told(codes)
        return self.fused.project(vectors), there

    def forget(self) -> None:
        self._whole = None

    def train(self, mode: bool = True) -> EntityEncoder:
        self._whole = None
        return super().train(mode)

    def _rows(self, codes: Tensor | None) -> Tensor:
        def take(table: Tensor) -> Tensor:
            return table if codes is None else table.index_select(0, codes)

        vectors, there = self._told(codes)
        content = self.fused(vectors, there)
        if self.own is None:
            return cast(Tensor, content)
        shown = take(self.trained)
        if self.training and self.schema.settings.id_dropout:
            # Only where contents can stand in.
            hidden = torch.rand(len(shown), device=shown.device) < self.schema.settings.id_dropout
            shown = shown & ~(hidden & there.any(dim=1))
        counts = shown if self.training or not self.schema.settings.warm_up else shown * take(self.share)
        return cast(Tensor, content + take(self.own.weight) * counts.unsqueeze(1))

    @property
    def own_share(self) -> Tensor:
        """float32 (rows,): how much what is an item's own counts now, 0 where it has nothing of its own."""
        return self.trained.float() if self.training or not self.schema.settings.warm_up else self.trained * self.share

    @property
    def _by_row(self) -> tuple[str, ...]:
        return ("there", "trained", "share") if self.schema.settings.warm_up else ("there", "trained")

    def _told(self, codes: Tensor | None) -> tuple[list[Tensor], Tensor]:
        tables = [getattr(self, f"contents_{place}") for place in range(len(self.schema.modalities))]
        if codes is None:
            return tables, self.there
        return [table.index_select(0, codes) for table in tables], self.there.index_select(0, codes)

    def _scaled(self, place: int, vectors: np.ndarray, present: np.ndarray) -> Tensor:
        centre, scale = getattr(self, f"centre_{place}").cpu(), getattr(self, f"scale_{place}").cpu()
        rows = (torch.from_numpy(vectors) - centre) * scale
        return torch.where(torch.from_numpy(np.asarray(present, bool)).unsqueeze(1), rows, 0.0)


ItemTable = nn.Embedding | EntityEncoder


def item_table(schema: FeatureSchema, dim: int) -> ItemTable:
    """Vectors of the items of a schema: a plain table, or with contents an `EntityEncoder`."""
    if schema.content is None:
        return nn.Embedding(schema.num_items, dim)
    return EntityEncoder(schema.num_items, dim, schema.content)


def content_table(schema: FeatureSchema, dim: int, *, ids: bool = False) -> ItemTable:
    """Vectors of items that are made of their contents, without `ids` of nothing else; a plain table where there are no contents."""
    if schema.content is None:
        return item_table(schema, dim)
    settings = schema.content.settings.model_copy(update={"ids": ids and schema.content.settings.ids})
    return item_table(replace(schema, content=replace(schema.content, settings=settings)), dim)


def init_table(table: ItemTable, std: float) -> None:
    """First weights of a table of vectors: normal with standard deviation `std`; what fuses contents keeps its own."""
    own = table.own if isinstance(table, EntityEncoder) else table
    if own is not None:
        nn.init.normal_(own.weight, std=std)


def with_more_items(model: Any, contents: ItemContents, rows: tuple[str, ...]) -> Any:
    """A copy of a model with a row more in its item tables for each item of `contents`; everything else is shared.

    `rows` name what else has a row an item: a new item gets the mean of the trained ones.
    """
    twin, count = _shallow(model), _count(contents)
    for name, part in model.named_children():
        if isinstance(part, EntityEncoder):
            twin._modules[name] = part.grown(contents)
    for name in rows:
        old = getattr(model, name)
        _put(twin, name, old, torch.cat([old.detach(), _usual(model, old).expand(count, *old.shape[1:])]))
    twin.schema = replace(model.schema, num_items=model.schema.num_items + count)
    twin.forget()
    return twin


def with_items_alone(model: Any, contents: ItemContents, rows: tuple[str, ...], own: np.ndarray) -> Any:
    """A copy of a model that has the items of `contents` and no others; for `rows` see `with_more_items`, for `own` `EntityEncoder.only`."""
    twin, codes = _shallow(model), torch.from_numpy(np.asarray(own, np.int64))
    for name, part in model.named_children():
        if isinstance(part, EntityEncoder):
            twin._modules[name] = part.only(contents, own)
    for name in rows:
        old = getattr(model, name)
        known = (codes.to(old.device) > PAD).view(-1, *[1] * (old.ndim - 1))
        _put(twin, name, old, torch.where(known, old.detach()[codes.to(old.device)], _usual(model, old)))
    twin.schema = replace(model.schema, num_items=len(codes))
    twin.forget()
    return twin


def _count(contents: ItemContents) -> int:
    return len(next(iter(contents.present.values())))


def _usual(model: Any, table: Tensor) -> Tensor:
    """The mean row of the trained items."""
    trained = next(part.trained for part in model.children() if isinstance(part, EntityEncoder))
    return table.detach()[trained].float().mean(dim=0, keepdim=True).nan_to_num(0.0).to(table.dtype)


def _put(twin: Any, name: str, old: Tensor, rows: Tensor) -> None:
    setattr(twin, name, nn.Parameter(rows, requires_grad=False) if isinstance(old, nn.Parameter) else rows)


def _shallow(module: Any) -> Any:
    """A copy that shares all parts and weights, and in which each can be replaced without touching the original."""
    twin = copy.copy(module)
    for kind in ("_modules", "_parameters", "_buffers"):
        setattr(twin, kind, dict(getattr(module, kind)))
    return twin
