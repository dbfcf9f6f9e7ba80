"""The graphs of many histories as one: their items are nodes, and an edge leads from an item to the one that came next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SessionGraphs:
    """Graphs side by side, without an edge between two of them. An item that occurs again in a history is one node of its graph."""

    items: Tensor
    """int64 (nodes,): the item code of each node"""
    sources: Tensor
    """int64 (edges,): the node that an edge leaves; a step taken twice is two edges"""
    targets: Tensor
    """int64 (edges,): the node that it reaches"""
    graphs: Tensor
    """int64 (places,): the graph of each event, graph by graph, oldest first"""
    nodes: Tensor
    """int64 (places,): the node of each event"""
    newest: Tensor
    """int64 (graphs,): the node of each graph's last event"""

    @classmethod
    def of(cls, items: Tensor, offsets: Tensor, first: np.ndarray, lengths: np.ndarray) -> SessionGraphs:
        """A graph for each stretch `first[g]:first[g] + lengths[g]` of packed `items` (events,); lengths are 1 or more.

        `first` are beginnings of the rows that `offsets` (rows + 1,) divides the events into. Stretches may overlap: each makes a
        graph of its own.
        """
        bounds, codes = offsets.cpu().numpy(), items.cpu().numpy()
        rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        order = np.lexsort((codes, rows))  # stable, so the events of an item in a row are in their order
        new = np.ones(len(order), bool)
        new[1:] = (np.diff(rows[order]) != 0) | (np.diff(codes[order]) != 0)
        leader = np.empty(len(order), np.int64)  # the first event of the same item in the row, whatever the stretch
        leader[order] = order[new][np.cumsum(new) - 1]

        base = np.cumsum(lengths) - lengths
        graphs = np.repeat(np.arange(len(lengths)), lengths)
        events = np.arange(len(graphs)) + (first - base)[graphs]
        leads = leader[events] == events
        nodes = (np.cumsum(leads) - 1)[leader[events] - (first - base)[graphs]]
        steps = np.flatnonzero(graphs[1:] == graphs[:-1])
        parts = (codes[events[leads]], nodes[steps], nodes[steps + 1], graphs, nodes, nodes[base + lengths - 1])
        return cls(*(torch.from_numpy(part).to(items.device) for part in parts))

    @property
    def num_nodes(self) -> int:
        return len(self.items)


class GatedGraph(nn.Module):
    """A gated graph network (Li et al. 2016) over both directions of the edges, as in SR-GNN (Wu et al. 2019, eq. 1 to 5).

    In a step each node hears the mean of what it was reached from and the mean of what it led to, each through a map of its own,
    and a gated recurrent unit takes that in.
    """

    def __init__(self, dim: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.before = nn.Linear(dim, dim)
        self.after = nn.Linear(dim, dim)
        self.cell = nn.GRUCell(2 * dim, dim)

    def forward(self, nodes: Tensor, graphs: SessionGraphs) -> Tensor:
        """(nodes, dim) → (nodes, dim)."""
        for _ in range(self.steps):
            reached = _means(self.before(nodes), graphs.sources, graphs.targets)
            led = _means(self.after(nodes), graphs.targets, graphs.sources)
            nodes = self.cell(torch.cat([reached, led], 1), nodes)
        return nodes


def _means(values: Tensor, senders: Tensor, receivers: Tensor) -> Tensor:
    """The mean over each node's edges of what the other ends say; 0 for a node without: (nodes, dim)."""
    degree = torch.bincount(receivers, minlength=len(values)).clamp_min(1).unsqueeze(1)
    return torch.zeros_like(values).index_add(0, receivers, values.index_select(0, senders)) / degree
