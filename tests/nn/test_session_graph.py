"""Every stretch of a history has the graph of its own events."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.nn.session_graph import SessionGraphs

rows = st.lists(st.lists(st.integers(2, 6), max_size=7), min_size=1, max_size=5)


@settings(deadline=None)
@given(rows)
def test_graphs_of_all_prefixes_are_those_of_each_alone(rows):
    items = torch.tensor([item for row in rows for item in row], dtype=torch.int64)
    offsets = torch.tensor([0, *map(len, rows)]).cumsum(0)
    prefixes = [(int(offsets[r]), row[:end]) for r, row in enumerate(rows) for end in range(1, len(row) + 1)]
    found = SessionGraphs.of(
        items,
        offsets,
        np.array([first for first, _ in prefixes], dtype=np.int64),
        np.array([len(prefix) for _, prefix in prefixes], dtype=np.int64),
    )
    graph_of_node = torch.empty_like(found.items).index_copy(0, found.nodes, found.graphs)
    edges = list(zip(graph_of_node[found.sources].tolist(), found.sources.tolist(), found.targets.tolist(), strict=True))
    for graph, (_, prefix) in enumerate(prefixes):
        places = found.nodes[found.graphs == graph]
        assert found.items[places].tolist() == prefix
        assert len(set(places.tolist())) == len(set(prefix)) == int((graph_of_node == graph).sum())
        assert found.items[found.newest[graph]] == prefix[-1]
        assert [(int(found.items[one]), int(found.items[two])) for mine, one, two in edges if mine == graph] == list(
            pairwise(prefix)
        )
    assert (graph_of_node[found.sources] == graph_of_node[found.targets]).all()
