"""Content ridge: what a user did, regressed on what things are, for every user at once and in closed form."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.contents import Cells
from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError, DataError
from tastemaker.models.base import Model, Query
from tastemaker.nn.contents import rarities, weighed
from tastemaker.nn.likeness import kernel, kernel_of_terms
from tastemaker.nn.sparse import sum_rows
from tastemaker.settings import Settings


class ContentRidge(Model):
    """Kernel ridge regression of each user's 0/1 choices on the contents of the items (Saunders, Gammerman & Vovk 1998, eq. 9).

    Two items are as like as the kernel k says: Σ_m w_m × the cosine of their vectors in modality m (`[content]`), or without contents the
    cosine of their words and values as in `content_knn`, plus a constant, by which what much-chosen things have in common is learned too.
    With P = (K + λI)⁻¹ over the items with an event, the score of a cold item c for the history x is x P k_c. That of an item j with
    events leaves its own out, -Σ_{i≠j} x_i P_ij / P_jj: the same regression without item j (Rasmussen & Williams 2006, eq. 5.12), which is also the form of EASE
    (Steck 2019) with a kernel of contents in the place of XᵀX. So the weight of an item in a history is the same for
    all users, and one matrix of num_items² holds the model.

    Beside neighbours (`content_knn`) it knows that ten likenesses to the same thing are one piece of evidence, and learns popularity from contents.
    A user with nothing gets the popularity order; the order of a history does not matter.
    """

    class Config(Settings):
        """How strongly the regression is held, and what counts how much."""

        regularization: float = Field(
            1.0, gt=0, description="λ, where the kernel of an item with itself is about the sum of the weights"
        )
        constant: float = Field(1.0, ge=0, description="of the kernel: how much all items are alike")
        weights: dict[str, float] = Field(default_factory=dict, description="w of modalities, by name; default: 1")
        columns: tuple[str, ...] = Field(
            (), description="without contents: columns of the catalogue to compare by; default: all"
        )

    needs_catalogue = True
    solves = ("two_tastes",)
    config: Config
    weights: Tensor
    """float32 (num_items, num_items)"""
    popularity: Tensor
    """float32 (num_items,): share of the training users that have the item"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.register_data_buffer("weights", ndim=2)
        self.register_buffer("popularity", torch.zeros(schema.num_items))
        self._kernel: np.ndarray | None = None
        known = [name for name, _ in schema.content.modalities] if schema.content else []
        if strange := sorted(set(config.weights) - set(known)):
            found = f"modalities {', '.join(known)}" if known else "no [content.modalities.NAME]"
            raise ConfigError(
                f"model.weights of {', '.join(strange)}, where there are {found}", hint="remove it from model.weights"
            )

    @property
    def reads_contents(self) -> bool:
        return self.schema.content is not None

    def observe_catalogue(self, catalogue: pa.Table) -> None:
        if self.schema.content is not None:
            return
        names = self.config.columns or tuple(catalogue.column_names)
        if not catalogue.num_columns or not set(names) <= set(catalogue.column_names):
            found = ", ".join(catalogue.column_names) or "no columns"
            raise DataError(
                f"a catalogue of {found}", expected=", ".join(names) or "columns", hint="[data] items = …, model.columns"
            )
        cells = Cells.of([{}] * FIRST + catalogue.select(names).to_pylist())
        counts = cells.counts(cells.edges())
        self._kernel = kernel_of_terms(weighed(counts, rarities(counts)))

    def observe_contents(self, contents: ItemContents, interactions: Interactions) -> None:
        self._kernel = kernel(contents, self.config.weights)

    def solve(self, interactions: Interactions) -> None:
        """Solves for the weights; without catalogue and contents nothing is alike, and everybody gets the popularity order."""
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items)
        counts = np.bincount(cells.indices, minlength=cells.shape[1])
        users = max(int(np.count_nonzero(np.diff(cells.indptr))), 1)
        self.popularity = torch.from_numpy((counts / users).astype(np.float32))
        self.weights = torch.zeros(self.schema.num_items, self.schema.num_items)
        if self._kernel is None:
            return
        warm, whole = np.flatnonzero(counts), self._kernel + np.float32(self.config.constant)
        self._kernel = None
        inverse = whole[np.ix_(warm, warm)].astype(np.float64)
        inverse[np.diag_indices(len(warm))] += self.config.regularization
        inverse = cast(np.ndarray, np.linalg.inv(inverse))
        found = np.zeros_like(whole)
        found[warm] = (inverse @ whole[warm]).astype(np.float32)
        own = -inverse / np.diagonal(inverse)
        own[np.diag_indices(len(warm))] = 0
        found[np.ix_(warm, warm)] = own.astype(np.float32)
        found[:, :FIRST] = 0
        self.weights = torch.from_numpy(found)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items)
        scores = sum_rows(self.weights, history)
        scores = torch.where(scores.any(dim=1, keepdim=True), scores, self.popularity)
        return scores if items is None else scores[:, items]

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        return self.weights[query.items, items[query.rows]] * query.shares(self.schema.num_items)
