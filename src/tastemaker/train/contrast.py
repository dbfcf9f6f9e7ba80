"""Contrastive pre-training of what fuses contents: the modalities of an item should agree, and things taken one after the other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.log import logger
from tastemaker.models.base import Model
from tastemaker.nn.entity import EntityEncoder

_BATCH, _RATE, _TEMPERATURE = 512, 0.002, 0.1


def pretrain(model: Model, interactions: Interactions, epochs: int, seed: int) -> list[float]:
    """Trains projections and fusion of the model's item tables, in place, on pairs alone; the loss of each epoch.

    For a batch of pairs (i, j) of items that somebody took one after the other, the loss is the mean of InfoNCE (van den Oord et al. 2018,
    both ways round, temperature .1, the other pairs of the batch as negatives) between the fused contents of i and j, and between every
    two modalities of i, as CLIP has it for text and image (Radford et al. 2021). An item is no negative of itself, and one that lacks
    a modality takes no part where that is asked for.
    """
    pairs = _pairs(interactions)
    found: list[float] = []
    for table in (module for module in model.modules() if isinstance(module, EntityEncoder)):
        known = pairs[table.there.any(dim=1)[pairs].all(dim=1)]
        if not len(known):
            continue
        optimizer = torch.optim.Adam(table.fused.parameters(), _RATE)
        table.train()
        for epoch in range(epochs):
            order = np.random.default_rng([seed, epoch]).permutation(len(known))
            torch.manual_seed(int(np.random.default_rng([seed, epoch, 1]).integers(2**63)))
            total = 0.0
            for batch in known[torch.from_numpy(order)].split(_BATCH):
                loss = _loss(table, batch)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += float(loss.detach()) * len(batch)
            found.append(total / len(known))
            logger.info("contents, pre-training epoch %d of %d: loss %.4f", epoch + 1, epochs, found[-1])
        table.forget()
    return found


def _pairs(interactions: Interactions) -> Tensor:
    """int64 (pairs, 2): different items of neighbouring events of a user."""
    items, users = interactions.item.astype(np.int64), interactions.user
    together = (users[1:] == users[:-1]) & (items[1:] != items[:-1])
    return torch.from_numpy(np.stack([items[:-1][together], items[1:][together]], axis=1))


def _loss(table: EntityEncoder, pairs: Tensor) -> Tensor:
    first, second = pairs.unbind(1)
    losses = [_agree(table.contents_of(first), table.contents_of(second), first, second)]
    x, there = table.projected(first)
    for one, other in combinations(range(x.shape[1]), 2):
        both = there[:, one] & there[:, other]
        if int(both.sum()) > 1:
            losses.append(_agree(x[both, one], x[both, other], first[both], first[both]))
    return torch.stack(losses).mean()


def _agree(one: Tensor, other: Tensor, codes: Tensor, partners: Tensor) -> Tensor:
    """InfoNCE of rows, both ways round."""
    cosines = F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / _TEMPERATURE
    own = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    same = (codes.unsqueeze(1) == codes) | (partners.unsqueeze(1) == partners) | (codes.unsqueeze(1) == partners)
    cosines = cosines.masked_fill(same & ~own, -torch.inf)
    goal = torch.arange(len(cosines), device=cosines.device)
    return (F.cross_entropy(cosines, goal) + F.cross_entropy(cosines.T, goal)) / 2
