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

    Two items are as like as the kernel k says: Σ w × the cosine of their words and values in a column of the catalogue (as in `content_knn`, a
    kernel a column) or of their vectors in a modality (`[content]`), plus a constant, by which what much-chosen things have in common is learned too. With
    P = (K + λI)⁻¹ over the items with an event, the score of item j for the history x is x P k_j. So the weight of an item in a history is
    the same for all users, and one matrix of num_items² holds the model. As an item with events that the user has not met counts as a 0 that is known,
    and a cold one as not known, cold items have the advantage. With `leave_out` an item with events is scored without its own 0, -Σ_{i≠j} x_i P_ij / P_jj
    (Rasmussen & Williams 2006, eq. 5.12), which is the form of EASE (Steck 2019) with a kernel of contents in the place of XᵀX: fair, and cold items are found less.

    Beside neighbours (`content_knn`) it knows that ten likenesses to the same thing are one piece of evidence, and learns popularity from contents.
    A user with nothing gets the popularity order; the order of a history does not matter.
    """

    class Config(Settings):
        """How strongly the regression is held, and what counts how much."""

        regularization: float = Field(
            1.0, gt=0, description="λ, where the kernel of an item with itself is about the sum of the weights"
        )
        constant: float = Field(1.0, ge=0, description="of the kernel: how much all items are alike")
        columns: tuple[str, ...] = Field(
            (), description="of the catalogue, a kernel each; default: all, or none where there are contents"
        )
        weights: dict[str, float] = Field(default_factory=dict, description="w of columns and modalities, by name; default: 1")
        leave_out: bool = Field(False, description="whether items with events are scored as if what is known of them were not")

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

    @property
    def reads_contents(self) -> bool:
        return self.schema.content is not None

    def observe_catalogue(self, catalogue: pa.Table) -> None:
        told = [] if self.schema.content is None else [name for name, _ in self.schema.content.modalities]
        names = self.config.columns or (() if told else tuple(catalogue.column_names))
        if not (told or catalogue.num_columns) or not set(names) <= set(catalogue.column_names):
            found, hint = ", ".join(catalogue.column_names) or "no columns", "[data] items = …, model.columns"
            raise DataError(f"a catalogue of {found}", expected=", ".join(names) or "columns", hint=hint)
        if strange := sorted(set(self.config.weights) - {*names, *told}):
            raise ConfigError(f"model.weights of {', '.join(strange)}", expected=f"some of {', '.join((*names, *told))}")
        for name in names:
            cells = Cells.of([{}] * FIRST + catalogue.select([name]).to_pylist())
            counts = cells.counts(cells.edges())
            self._add(kernel_of_terms(weighed(counts, rarities(counts))) * np.float32(self.config.weights.get(name, 1.0)))

    def observe_contents(self, contents: ItemContents, interactions: Interactions) -> None:
        self._add(kernel(contents, self.config.weights))

    def _add(self, kernel: np.ndarray) -> None:
        self._kernel = kernel if self._kernel is None else self._kernel + kernel

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
        if self.config.leave_out:
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
